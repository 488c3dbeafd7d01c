"""How fast counts grow, and when the run will have reached one of its limits."""

from __future__ import annotations

import math
from collections import deque

from sequence_tutor.distributed.metrics.tally import Metrics
from sequence_tutor.distributed.stage_config import StopConfig

# Seconds over which a speed is measured, at least, and how often the count must have grown then: a
# slow reward reports rarely, and between two reports nothing seems to happen.
OVER_S, GROWTHS = 30.0, 4
# A count stands still when it hasn't grown for this multiple of the longest pause before.
STILL = 4.0
# Growths that a speed must have been measured over before the time left is told.
LEAST_GROWTHS = 2


class Speed:
    """How fast a count has grown in the last OVER_S seconds or, where it grows rarely, over its
    last GROWTHS growths. NaN until it has grown; 0 when it stands still."""

    def __init__(self) -> None:
        self._grown: deque[tuple[float, int]] = deque()  # the moments at which it had just grown
        self._now = (0.0, 0)
        self._count: int | None = None

    def add(self, elapsed_s: float, count: int) -> None:
        """Note the count at a time, in seconds since any start."""
        self._now = elapsed_s, count
        if self._count is None or count == self._count:
            # the time before the first work doesn't count: processes were starting
            if len(self._grown) < 2:
                self._grown = deque([self._now])
        else:
            self._grown.append(self._now)
        self._count = count
        while len(self._grown) > GROWTHS + 1 and self._grown[1][0] <= elapsed_s - OVER_S:
            self._grown.popleft()

    @property
    def growths(self) -> int:
        """How often the count grew in the time that is looked at."""
        return max(0, len(self._grown) - 1)

    @property
    def per_s(self) -> float:
        if not self.growths:
            return math.nan
        since_s, before = self._grown[0]
        now_s, count = self._now
        times = [at for at, _ in self._grown]
        longest = max(b - a for a, b in zip(times, times[1:], strict=False))
        if now_s - times[-1] > max(OVER_S, STILL * longest):
            return 0.0
        return (count - before) / (now_s - since_s) if now_s > since_s else math.nan


class TimeLeft:
    """Seconds until the run reaches the nearest of its limits, by its present speeds.

    updates_before: those of the runs that this one goes on from, which don't count.
    """

    def __init__(self, stop: StopConfig, updates_before: int = 0) -> None:
        self._stop, self._before = stop, updates_before
        self.scores, self.sequences, self._updates = Speed(), Speed(), Speed()

    def add(self, m: Metrics) -> None:
        """Note the counts of a tick."""
        self.scores.add(m.elapsed_s, m.scores_used)
        self.sequences.add(m.elapsed_s, m.sequences)
        self._updates.add(m.elapsed_s, m.updates)

    def seconds(self, m: Metrics, updates_owed: int | None = None) -> float:
        """NaN until it is known. updates_owed: how many are still made where the budget is used
        and the run learns on. Limits on the rewards can't be foreseen."""
        if updates_owed is not None:
            return _time(self._updates, updates_owed)
        stop = self._stop
        found = [
            _time(self.scores, _left(stop.scores, m.scores_used)),
            _time(self.sequences, _left(stop.most_sequences, m.sequences)),
            _time(self._updates, _left(stop.updates, m.updates - self._before)),
            math.nan if stop.seconds is None else max(0.0, stop.seconds - m.elapsed_s),
        ]
        return min((one for one in found if not math.isnan(one)), default=math.nan)


def _left(limit: int | None, used: int) -> int | None:
    return None if limit is None else max(0, limit - used)


def _time(speed: Speed, left: int | None) -> float:
    if left is None or speed.growths < LEAST_GROWTHS or not speed.per_s > 0:
        return math.nan
    return left / speed.per_s
