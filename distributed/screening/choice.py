"""Chooses a batch: each pick takes into account what the picks before it will tell."""

from __future__ import annotations

import numpy as np

# Candidates that picks are made from, as a multiple of the picks and at least; the covariance among
# them takes the square of their number.
CANDIDATES_PER_PICK, CANDIDATES = 8, 256
# Deviations above the mean by which these candidates are found.
HOPE = 2.0


def shortlist(means: np.ndarray, deviations: np.ndarray, picks: int) -> np.ndarray:
    """The most promising of M candidates, int64, best first."""
    size = max(CANDIDATES, CANDIDATES_PER_PICK * picks)
    order: np.ndarray = np.argsort(-(means + HOPE * deviations), kind="stable")[:size]
    return order


def choose_batch(
    means: np.ndarray,
    covariance: np.ndarray,
    noise_variance: float,
    n: int,
    explore: tuple[float, float],
    random: np.random.Generator,
) -> list[int]:
    """Up to n of M candidates, in the order of the picks.

    means float64 [M], covariance float64 [M,M] of the posterior. Each pick has the highest
    mean + b deviations, with b drawn log-uniformly between the two numbers of `explore`; then the
    covariance is conditioned on it as if it had been scored, so that the next picks lie elsewhere
    (Desautels, Krause, Burdick 2014, "Parallelizing exploration-exploitation tradeoffs in Gaussian
    process bandit optimization"). The means stay as they are.
    """
    left, means = covariance.copy(), means.copy()
    picked: list[int] = []
    low, high = np.log(explore)
    for _ in range(min(n, len(means))):
        b = np.exp(random.uniform(low, high))
        deviations = np.sqrt(np.maximum(np.diag(left), 0.0))
        pick = int(np.argmax(means + b * deviations))
        picked.append(pick)
        means[pick] = -np.inf
        column = left[:, pick].copy()
        left -= np.outer(column, column) / (column[pick] + noise_variance + 1e-12)
    return picked
