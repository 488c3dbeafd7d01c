"""How long sequences take, and what follows from it: how much work lies ready, when to look."""

from __future__ import annotations

import math

# A child has so much work lying ready: seconds, and units.
AHEAD_S, AHEAD = 0.1, 64
# Results are read several at a time, at the latest after this.
NAP_S = 0.02
# A sequence that takes so many times the mean may be stuck, but not before STUCK_S.
STUCK_TIMES, STUCK_S = 8.0, 0.05


class Pace:
    """Wall seconds for a sequence: `mean_s`, and `quick_s` for the quicker ones.

    Where one sequence in a hundred takes long, the mean says nothing about the rest: a child that
    was given work for so long would have nothing to do most of the time.
    """

    def __init__(self) -> None:
        self.mean_s = 0.0
        self.quick_s = 0.0
        self._scored = 0

    def note(self, rows: int, seconds: float) -> None:
        """So many sequences took so long together."""
        each_s = seconds / rows
        self._scored += rows
        self.mean_s += (each_s - self.mean_s) * rows / self._scored
        if self.quick_s == 0.0:
            self.quick_s = each_s
        elif each_s < self.quick_s:
            self.quick_s += 0.2 * (each_s - self.quick_s)
        else:
            self.quick_s = min(each_s, 1.05 * self.quick_s)

    def ahead(self, rows: int) -> int:
        """How many units of so many sequences a child should have lying ready."""
        if self.quick_s == 0.0:
            return 2
        return max(2, math.floor(min(AHEAD, AHEAD_S / (self.quick_s * rows))))

    def nap_s(self, units: int, rows: int) -> float:
        """How long nobody needs to hear of a child that has so many units lying ready: as long as
        half of them take."""
        return min(NAP_S, 0.5 * units * rows * self.quick_s)

    def patience_s(self, rows: int) -> float:
        """How old a unit is before somebody asks whether it is stuck."""
        return max(STUCK_S, STUCK_TIMES * self.mean_s * rows)
