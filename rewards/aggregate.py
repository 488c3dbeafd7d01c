"""Aggregation: one reward for each of B sequences from their transformed components.

The sum and the arithmetic mean are linear: `LINEAR` gives the reward per unit of each component,
so a component that judges by the step can be paid at the step that earns it. A sequence's reward
doesn't depend on the rest of its batch, not even in the last bit, so matrix products aren't used.

Filters and penalties aren't part of the aggregate: they multiply it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def _normalised(weights: Values, components: int) -> Values:
    if weights.shape != (components,):
        raise ValueError(f"{components} components need as many weights, got {weights.shape}")
    total = weights.sum()
    if not (weights.min(initial=0) >= 0 and 0 < total < np.inf):
        raise ValueError(f"weights must be finite, not negative, and not all zero: {weights}")
    return np.asarray(weights / total, dtype=np.float64)


def weighted_sum(values: Values, weights: Values) -> Values:
    """sum_k w_k x_k: float64 [B,K] and [K] -> [B]."""
    _normalised(weights, values.shape[1])
    return np.asarray((values * weights).sum(axis=1), dtype=np.float64)


def arithmetic_mean(values: Values, weights: Values) -> Values:
    """sum_k w_k x_k / sum_k w_k: float64 [B,K] and [K] -> [B]."""
    shares = _normalised(weights, values.shape[1])
    return np.asarray((values * shares).sum(axis=1), dtype=np.float64)


def geometric_mean(values: Values, weights: Values) -> Values:
    """prod_k x_k^(w_k / sum_k w_k): float64 [B,K] and [K] -> [B].

    One component at 0 makes the result 0, unless its weight is 0. Raises ValueError for a
    negative value, which has no geometric mean; NaN gives NaN.
    """
    shares = _normalised(weights, values.shape[1])
    if np.any(values < 0):
        raise ValueError("the geometric mean needs values that are not negative")
    return np.asarray(np.prod(values**shares, axis=1), dtype=np.float64)


def product(values: Values, weights: Values) -> Values:
    """prod_k x_k over the components whose weight isn't 0: float64 [B,K] and [K] -> [B].

    How large a weight is doesn't count. Raises ValueError for a negative value.
    """
    return weighted_product(values, (weights > 0).astype(np.float64))


def weighted_product(values: Values, weights: Values) -> Values:
    """prod_k x_k^w_k, the weights as they are: float64 [B,K] and [K] -> [B].

    The geometric mean to the power of sum_k w_k, so 0.9 in each of ten components is 0.35 and not
    0.9. Raises ValueError for a negative value, which has no such power; NaN gives NaN.
    """
    _normalised(weights, values.shape[1])
    if np.any(values < 0):
        raise ValueError("a product needs values that are not negative")
    return np.asarray(np.prod(values**weights, axis=1), dtype=np.float64)


AGGREGATES = {
    "arithmetic_mean": arithmetic_mean,
    "geometric_mean": geometric_mean,
    "sum": weighted_sum,
    "product": product,
    "weighted_product": weighted_product,
    # on record; in training a row is worth its rank among all, see `pareto`
    "pareto": arithmetic_mean,
}
# Those that need every component in 0..1.
OF_0_TO_1 = frozenset({"geometric_mean", "product", "weighted_product", "pareto"})
LINEAR: dict[str, Callable[[Values], Values]] = {
    "arithmetic_mean": lambda weights: np.asarray(weights / weights.sum()),
    "sum": lambda weights: weights,
}


@dataclass(frozen=True)
class Aggregate:
    """How the components of a reward become one number."""

    name: str
    """A key of AGGREGATES."""
    weights: Values
    """float64 [K] of all components."""
    multiplies: NDArray[np.bool_]
    """bool [K]: whether a component is a filter or a penalty."""

    def __call__(self, values: Values) -> Values:
        """float64 [B,K] -> [B]: the aggregate of the scores times the filters and penalties. A row
        with a filter or penalty of 0 is 0, whether its other values are known or NaN."""
        if not self.multiplies.any():
            return AGGREGATES[self.name](values, self.weights)
        # the order in memory sets the order of a sum, and so its last bit
        scores = np.ascontiguousarray(values[:, ~self.multiplies])
        factors = np.ascontiguousarray(values[:, self.multiplies])
        weights = self.weights[~self.multiplies]
        stopped = (factors == 0).any(axis=1)
        found = np.zeros(len(values))
        found[~stopped] = AGGREGATES[self.name](scores[~stopped], weights)
        found[~stopped] *= factors[~stopped].prod(axis=1)
        return found

    def apart(self, values: Values) -> Values:
        """float64 [B,K] -> [B,S]: each of the scores that have a weight, times the filters and
        penalties; a row with a filter or penalty of 0 is 0. What Pareto ranks compare."""
        scores = values[:, ~self.multiplies & (self.weights > 0)]
        factors = values[:, self.multiplies]
        stopped = (factors == 0).any(axis=1)
        return np.where(stopped[:, None], 0.0, scores * factors.prod(axis=1)[:, None])
