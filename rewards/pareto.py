"""Pareto optimisation: which rows no other dominates, for K values of which more is better.

One row dominates another if none of its values is lower and one is higher.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

# Rows that dominate a row are counted up to this number. A row that as many dominate is worth 0,
# and needn't be kept to count for others: what it dominates, they dominate too.
MOST = 256
# Comparisons made at once, to bound the memory that they take.
_AT_ONCE = 1 << 22


def dominated_by(values: Values, others: Values) -> NDArray[np.int64]:
    """How many of A others dominate each of B rows: float64 [B,K] and [A,K] -> int64 [B]."""
    found = np.zeros(len(values), np.int64)
    step = max(1, _AT_ONCE // max(1, others.size))
    for first in range(0, len(values), step):
        rows = values[first : first + step, None]
        higher = (others >= rows).all(2) & (others > rows).any(2)
        found[first : first + step] = higher.sum(1)
    return found


def front(values: Values) -> NDArray[np.bool_]:
    """Which of N rows no other dominates: float64 [N,K] -> bool [N]. Equal rows are all in it."""
    # a row comes after those that dominate it: their sum is higher, or equal by rounding
    left, best = np.lexsort((*-values.T, -values.sum(axis=1))), []
    while len(left):
        best.append(left[0])
        one, rest = values[left[0]], values[left]
        equal = (rest == one).all(1)
        best += left[equal][1:].tolist()
        left = left[~equal & (rest > one).any(1)]
    found = np.zeros(len(values), bool)
    found[best] = True
    return found


def crowding(values: Values) -> Values:
    """How far apart the neighbours of each of N rows are, summed over the values as shares of their
    spread; inf at either end of a value: float64 [N,K] -> [N] (Deb et al. 2002,
    https://doi.org/10.1109/4235.996017)."""
    found = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        if len(order):
            found[order[[0, -1]]] = np.inf
        if len(order) > 2 and ordered[-1] > ordered[0]:
            gaps = (ordered[2:] - ordered[:-2]) / (ordered[-1] - ordered[0])
            found[order[1:-1]] += gaps
    return found


def rank_rewards(dominators: NDArray[np.int64], crowded: Values | None = None) -> Values:
    """What rows are worth: int64 [N] and float64 [N] -> float64 [N] from 0 to 1.

        1 - ln(1 + d + u) / ln(1 + MOST),   0 where d >= MOST

    d: how many rows dominate it, the rank of Fonseca and Fleming 1993. u: of the rows with the same
    d, the share whose `crowding` is greater, so the least crowded are worth most; 0 without it. The
    logarithm makes the step from the front to the next rank the largest.
    """
    ahead = np.zeros(len(dominators))
    if crowded is not None:
        order = np.lexsort((-crowded, dominators))
        ranks = dominators[order]
        first = np.searchsorted(ranks, ranks)
        size = np.searchsorted(ranks, ranks, "right") - first
        ahead[order] = (np.arange(len(order)) - first) / size
    worth = 1 - np.log1p(dominators + ahead) / np.log1p(MOST)
    return np.where(dominators < MOST, np.maximum(worth, 0.0), 0.0)


def hypervolume(values: Values) -> float:
    """The volume of what is dominated by any of N rows and is above 0 everywhere: float64 [N,K].

    Slices along the last value, recursively: for fronts of some hundred rows and few values.
    """
    values = values[(values > 0).all(axis=1)]
    if not len(values):
        return 0.0
    if values.shape[1] == 1:
        return float(values.max())
    values = values[front(values)]
    values = values[np.argsort(-values[:, -1])]
    ends = np.append(values[1:, -1], 0.0)
    return float(
        sum(
            (high - low) * hypervolume(values[: row + 1, :-1])
            for row, (high, low) in enumerate(zip(values[:, -1], ends, strict=True))
            if high > low
        )
    )
