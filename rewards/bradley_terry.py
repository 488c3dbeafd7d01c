"""The Bradley-Terry model of marks: which of two things a person prefers, from their features.

    P(a is preferred to b) = 1 / (1 + exp(u(b) - u(a))),   u(x) = sum_k w_k z_k(x)

z are the features, standardised over the N rated things. The weights minimise

    sum over pairs of log(1 + exp(u(loser) - u(winner))) + penalty / 2 * sum_k w_k^2

A higher mark beats a lower one of the same set: marks of different sets, such as those of different
evenings, aren't compared. Source: Bradley and Terry 1952, "Rank analysis of incomplete block
designs", https://doi.org/10.2307/2334029; u as in Springall 1973, linear in features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Penalties that are tried; a large one says that the marks tell nothing.
PENALTIES = (1.0, 10.0, 100.0, 1000.0)
# How often the things are divided at random, and into how many groups. A pair is predicted by a fit
# that knows neither of the two: one that knows how the winner did elsewhere would seem too good.
ROUNDS, GROUPS = 4, 4
# Norm of the gradient at which a fit ends.
GRADIENT = 1e-7


@dataclass(frozen=True)
class Taste:
    """A fitted utility."""

    weights: Floats
    """float64 [K], per standard deviation of each feature; 0 for one without any spread."""
    mean: Floats
    """float64 [K]: mean of each feature over the rated things."""
    deviation: Floats
    """float64 [K]: standard deviation of each feature over them; 1 where it is 0."""
    least: Floats
    """float64 [K]: least value of each feature among them."""
    most: Floats
    """float64 [K]: greatest value of each feature among them."""
    penalty: float
    """The penalty that was chosen."""
    right: float
    """Share of the pairs that are in the right order where neither of the two was in the fit; NaN
    where there were too few to tell."""

    def utility(self, features: Floats) -> Floats:
        """float64 [B,K] -> [B]: log odds that a thing is preferred to the mean rated one. A feature
        beyond what was rated counts as the nearest that was, since nothing is known there."""
        z = (np.clip(features, self.least, self.most) - self.mean) / self.deviation
        # not a matrix product, whose last bit depends on the size of the batch
        return np.asarray((z * self.weights).sum(axis=-1))


def pairs_of(marks: Sequence[Ints]) -> Ints:
    """int64 [P,2]: winner and loser of each pair with unequal marks within a set. marks: int [N_s]
    of each set; things are numbered through all sets."""
    found, first = [], 0
    for own in marks:
        winner, loser = np.nonzero(np.asarray(own)[:, None] > np.asarray(own)[None, :])
        found.append(np.stack([winner, loser], axis=1) + first)
        first += len(own)
    return np.concatenate([np.empty((0, 2), np.int64), *found])


def fit(differences: Floats, penalty: float, start: Floats | None = None) -> Floats:
    """The weights, float64 [K], for features of winners minus those of losers, float64 [P,K]; the
    loss is convex, so they don't depend on `start`. Raises ValueError for a penalty of 0 or less.
    """
    from scipy.optimize import minimize  # a slow import

    if not penalty > 0:
        raise ValueError(f"the penalty must be above 0, not {penalty}")
    count = differences.shape[1]

    def loss(weights: Floats) -> tuple[float, Floats]:
        ahead = differences @ weights
        wrong = np.exp(-np.logaddexp(0.0, ahead))  # P(the loser is preferred)
        lost = np.logaddexp(0.0, -ahead).sum() + 0.5 * penalty * (weights**2).sum()
        return float(lost), penalty * weights - differences.T @ wrong

    def curvature(weights: Floats) -> Floats:
        wrong = np.exp(-np.logaddexp(0.0, differences @ weights))
        inner = (differences * (wrong * (1.0 - wrong))[:, None]).T @ differences
        return np.asarray(inner + penalty * np.eye(count))

    start = np.zeros(count) if start is None else start
    found = minimize(
        loss, start, jac=True, hess=curvature, method="trust-exact", options={"gtol": GRADIENT}
    )
    return np.asarray(found.x)


def learn(features: Sequence[Floats], marks: Sequence[Ints]) -> Taste:
    """Fit sets of rated things: features float64 [N_s,K] and marks int [N_s] of each set.

    The penalty is the one of PENALTIES under which pairs of things that were both left out of a fit
    are predicted best, by log loss; among equals the largest. The result is the same each time.

    Raises ValueError without a pair of unequal marks.
    """
    table, pairs = np.concatenate(list(features)), pairs_of(marks)
    if not len(pairs):
        raise ValueError("there is no pair with unequal marks")
    spread = table.std(axis=0)
    # rounding gives equal values a spread
    used = spread > 1e-12 * (1.0 + np.abs(table).max(axis=0))
    deviation = np.where(used, spread, 1.0)
    z = np.where(used, (table - table.mean(axis=0)) / deviation, 0.0)
    differences = z[pairs[:, 0]] - z[pairs[:, 1]]
    losses, right, judged = np.zeros(len(PENALTIES)), np.zeros(len(PENALTIES)), 0
    for group in _left_out(len(table)):
        out = np.isin(pairs, group)
        told, asked = ~out.any(axis=1), out.all(axis=1)
        judged += int(asked.sum())
        weights = np.zeros(table.shape[1])
        for place in reversed(range(len(PENALTIES))):  # from the easiest, each from the one before
            weights = fit(differences[told], PENALTIES[place], weights)
            ahead = differences[asked] @ weights
            losses[place] += np.logaddexp(0.0, -ahead).sum()
            right[place] += ((ahead > 0) + 0.5 * (ahead == 0)).sum()
    best = max(np.flatnonzero(losses <= losses.min()).tolist())
    return Taste(
        weights=fit(differences, PENALTIES[best]),
        mean=table.mean(axis=0),
        deviation=deviation,
        least=table.min(axis=0),
        most=table.max(axis=0),
        penalty=PENALTIES[best],
        right=float(right[best] / judged) if judged else float("nan"),
    )


def _left_out(things: int) -> Iterator[Ints]:
    """int64 groups of the numbers of things, each of which is once left out of a fit."""
    random = np.random.default_rng(0)
    for _ in range(ROUNDS):
        yield from np.array_split(random.permutation(things), min(GROUPS, max(2, things // 2)))
