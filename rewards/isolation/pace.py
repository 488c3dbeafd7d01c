"""Seconds per sequence, and so the number of units to send ahead and the times between checks."""

from __future__ import annotations

import math

# Work sent ahead to a child: at most AHEAD_S seconds and AHEAD units.
AHEAD_S, AHEAD = 0.1, 64
# Longest time in seconds for which results wait to be read together.
NAP_S = 0.02
# A unit may be stuck after STUCK_TIMES the mean time, and not before STUCK_S seconds.
STUCK_TIMES, STUCK_S = 8.0, 0.05


class Pace:
    """Wall seconds per sequence: `mean_s` of all, and `quick_s` of the quicker ones.

    Where one sequence in a hundred takes long, the mean is far above most of them. A child with
    work for AHEAD_S by the mean would then be idle most of the time, so `quick_s` decides that.
    """

    def __init__(self) -> None:
        self.mean_s = 0.0
        self.quick_s = 0.0
        self._scored = 0

    def note(self, rows: int, seconds: float) -> None:
        """Note that `rows` sequences took `seconds` together."""
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
        """Number of units of `rows` sequences that a child should have received ahead."""
        if self.quick_s == 0.0:
            return 2
        return max(2, math.floor(min(AHEAD, AHEAD_S / (self.quick_s * rows))))

    def nap_s(self, units: int, rows: int) -> float:
        """Seconds for which a child's results may wait: half the time of its `units` ahead."""
        return min(NAP_S, 0.5 * units * rows * self.quick_s)

    def patience_s(self, rows: int) -> float:
        """Age of a unit, in seconds, after which to check whether it is stuck."""
        return max(STUCK_S, STUCK_TIMES * self.mean_s * rows)
