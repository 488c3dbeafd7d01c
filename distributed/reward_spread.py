"""Many rewards in a few numbers, for reports to the driver."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class RewardSpread(NamedTuple):
    """N rewards in a few numbers that can be added up."""

    rows: int = 0
    """N."""
    total: float = 0.0
    """Their sum."""
    squares: float = 0.0
    """The sum of their squares."""
    low: float = math.inf
    """The lowest, inf where there are none."""
    high: float = -math.inf
    """The highest, -inf where there are none."""

    @classmethod
    def of(cls, rewards: np.ndarray) -> RewardSpread:
        """The numbers of rewards, float64 [N]; those that aren't finite are left out."""
        r = rewards[np.isfinite(rewards)]
        if not len(r):
            return cls()
        return cls(len(r), float(r.sum()), float((r * r).sum()), float(r.min()), float(r.max()))

    def plus(self, other: RewardSpread) -> RewardSpread:
        """The numbers of both."""
        return RewardSpread(
            self.rows + other.rows,
            self.total + other.total,
            self.squares + other.squares,
            min(self.low, other.low),
            max(self.high, other.high),
        )
