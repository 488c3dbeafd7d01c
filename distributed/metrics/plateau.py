"""Whether the best rewards still rise: for `stop.reward` and `stop.plateau`."""

from __future__ import annotations

import math

import numpy as np

# Name of its state in a checkpoint.
STATE = "plateau.best"
# A rise of the mean of the best ten below this share of it doesn't count: rounding, or one of ten
# by a hair.
LEAST_RISE = 1e-3


class Plateau:
    """Follows the mean reward of the best ten."""

    def __init__(self) -> None:
        self.best, self._risen_at = math.nan, 0

    def add(self, best: float, scores: int) -> None:
        """The mean of the best ten after this number of scores; NaN where there are none."""
        if math.isnan(best):
            return
        if math.isnan(self.best) or best > self.best + LEAST_RISE * abs(self.best):
            self.best, self._risen_at = best, scores

    def since_rise(self, scores: int) -> int:
        """Scores since the last rise; 0 before the first reward."""
        return 0 if math.isnan(self.best) else scores - self._risen_at

    def state(self) -> dict[str, np.ndarray]:
        """Its state as arrays by name."""
        return {STATE: np.array([self.best, self._risen_at], np.float64)}

    def restore(self, tensors: dict[str, np.ndarray]) -> None:
        """The inverse of `state`; checkpoints of older versions lack it."""
        if STATE in tensors:
            self.best, risen_at = tensors[STATE].tolist()
            self._risen_at = int(risen_at)
