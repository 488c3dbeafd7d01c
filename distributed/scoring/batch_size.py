"""How many sequences a task should have."""

from __future__ import annotations

import math

SMALLEST, LARGEST = 1, 1024
# Largest factor by which one report changes the size of a batch.
STEP = 4.0
# Weight of the newest report in the mean; high, so that a slow start soon has no effect.
NEWEST = 0.5


class BatchSize:
    """Rows per batch, so that a scorer takes about `target_s` seconds for it; a call returns them.

    Small batches lose little with a scorer and show progress; large ones have less overhead. first:
    the size before any report; one row by default, since a row may take minutes and sizes grow
    fast. seconds_per_row: recent mean seconds of a row, 0 before any report. target_s may be
    changed.
    """

    def __init__(self, target_s: float = 1.0, first: int = SMALLEST) -> None:
        if not target_s > 0:
            raise ValueError(f"target_s must be above 0, not {target_s}")
        self.seconds_per_row = 0.0
        self.target_s = target_s
        self._size = float(min(max(first, SMALLEST), LARGEST))
        self._reported = False

    def __call__(self) -> int:
        return round(self._size)

    def report(self, rows: int, seconds: float) -> None:
        """Note the seconds that a batch took; a batch without rows is ignored."""
        if rows < 1:
            return
        newest = max(seconds, 0.0) / rows
        before = self.seconds_per_row if self._reported else newest
        self.seconds_per_row = (1 - NEWEST) * before + NEWEST * newest
        self._reported = True
        cost = self.seconds_per_row
        wanted = self.target_s / cost if cost > 0 else math.inf
        near = min(max(wanted, self._size / STEP), self._size * STEP)
        self._size = min(max(near, SMALLEST), LARGEST)
