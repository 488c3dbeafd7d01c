"""How many lines are done, and how long the rest will take."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable


class Estimate:
    """Progress, rate and remaining time.

    total: lines, None where that isn't known. done: lines that an earlier start has done. The rate
    is that of the last `window_s` seconds, or of the last few reports where reports are rarer.
    """

    def __init__(
        self,
        total: int | None,
        done: int = 0,
        window_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.done = total, done
        self._window_s, self._clock = window_s, clock
        self._marks: deque[tuple[float, int]] = deque([(clock(), done)])

    def add(self, rows: int, took_s: float | None = None) -> None:
        """Count lines that are done. took_s: seconds of work they took; with the first report, the
        time before this work is left out of the rate, as it was the start of the processes."""
        now = self._clock()
        if took_s is not None and len(self._marks) == 1:
            self._marks[0] = (max(self._marks[0][0], now - took_s), self.done)
        self.done += rows
        self._marks.append((now, self.done))
        while len(self._marks) > 4 and self._marks[1][0] <= now - self._window_s:
            self._marks.popleft()

    @property
    def rate(self) -> float:
        """Lines per second; 0 before the first report. Falls while no report comes."""
        since, done = self._marks[0]
        passed = self._clock() - since
        return (self.done - done) / passed if passed > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds that the rest takes, None where that isn't known."""
        rate = self.rate
        if self.total is None or rate <= 0:
            return None
        return max(self.total - self.done, 0) / rate

    def __str__(self) -> str:
        """Such as "12,345 of 1,000,000 (1.2 %), 830/s, 19 min left"."""
        parts = [f"{self.done:,}"]
        if self.total is not None:
            parts = [f"{self.done:,} of {self.total:,}"]
            if self.total > 0:  # rounded down: 100 % only when all lines are done
                share = math.floor(1000 * min(self.done / self.total, 1)) / 10
                parts[0] += f" ({share:.1f} %)"
        if (rate := self.rate) > 0:
            parts.append(per_time(rate))
        if (left_s := self.left_s) is not None and self.total != self.done:
            parts.append(f"{duration(left_s)} left")
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """For people, rounded: "40 s", "19 min", "3 h 5 min", "2 d 4 h"."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def per_time(per_s: float) -> str:
    """Per second, minute or hour: the first that gives at least 1, else per hour."""
    for unit, seconds in (("s", 1), ("min", 60)):
        if (n := per_s * seconds) >= 1:
            return f"{n:,.0f}/{unit}" if n >= 10 else f"{n:.1f}/{unit}"
    return f"{per_s * 3600:.1f}/h"
