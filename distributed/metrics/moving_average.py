"""A mean over the latest samples, in two numbers that a checkpoint can hold."""

from __future__ import annotations

import math
from collections.abc import Iterable


class MovingAverage:
    """The plain mean of the first `window` samples, then an exponential average: n new samples
    weigh n / window.

    rows: how many samples it stands for, at most `window`. value: NaN while there is none.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self.value, self.rows = math.nan, 0

    @property
    def full(self) -> bool:
        """Whether there have been `window` samples."""
        return self.rows >= self._window

    def add(self, mean: float, rows: int) -> None:
        """Add `rows` samples with this mean; one that isn't finite is ignored."""
        if rows < 1 or not math.isfinite(mean):
            return
        self.rows = min(self.rows + rows, self._window)
        weight = min(1.0, rows / self.rows)
        before = 0.0 if math.isnan(self.value) else self.value
        self.value = before + weight * (mean - before)

    def state(self) -> tuple[float, float]:
        """The value and the rows."""
        return self.value, float(self.rows)

    def restore(self, state: Iterable[float]) -> None:
        """The inverse of `state`."""
        value, rows = state
        self.value, self.rows = float(value), int(rows)
