"""Two kinds of classifier, evaluated from plain arrays: a support vector machine and a forest.

They give the probabilities that scikit-learn's `predict_proba` gives, without scikit-learn.
Letters: D features, N support vectors, T trees, M nodes of all trees together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# libsvm's limits of a probability, and of the search for two that fit each other
_LEAST, _CLOSE, _ROUNDS = 1e-7, 0.0025, 100


@dataclass(frozen=True)
class SupportVectorMachine:
    """Two classes, kernel exp(-gamma |x - s|^2), probabilities by Platt's method (1999)."""

    vectors: Floats
    """Support vectors s, float64 [D,N]: a row for each feature."""
    coefficients: Floats
    """Weights of the support vectors, float64 [N]; positive for class 0."""
    intercept: float
    """Added to the weighted sum of kernels."""
    gamma: float
    """Of the kernel, above 0."""
    slope: float
    """A in P(class 0) = 1 / (1 + exp(A f + B)), f the weighted sum of kernels."""
    offset: float
    """B in the same formula."""

    @property
    def features(self) -> int:
        """D."""
        return len(self.vectors)

    def probability(self, x: Floats) -> float:
        """P(class 1) for the features float64 [D]."""
        used = np.flatnonzero(x)  # a fingerprint has some 50 of 2,048
        products = x[used] @ self.vectors[used]
        squares = self._squares - 2.0 * products + float(x @ x)
        decision = float(self.coefficients @ np.exp(-self.gamma * squares)) + self.intercept
        z = self.slope * decision + self.offset
        first = 1.0 / (1.0 + math.exp(z)) if z < 0 else math.exp(-z) / (1.0 + math.exp(-z))
        return 1.0 - _coupled(min(max(first, _LEAST), 1.0 - _LEAST))

    def __post_init__(self) -> None:
        object.__setattr__(self, "_squares", (self.vectors**2).sum(axis=0))

    _squares = np.empty(0)  # |s|^2, float64 [N]


def _coupled(r: float) -> float:
    """P(class 0) from the probability r of class 0 against class 1.

    For two classes it could be r itself. But libsvm runs its search for any number of classes (Wu,
    Lin and Weng 2004, algorithm 2), which begins at 1/2 and stops when it is near enough; so values
    near 1/2 differ from r, and this repeats it.
    """
    q = np.array([[(1 - r) ** 2, -r * (1 - r)], [-r * (1 - r), r**2]])
    p = np.full(2, 0.5)
    for _ in range(_ROUNDS):
        gradient = q @ p
        value = float(p @ gradient)
        if np.abs(gradient - value).max() < _CLOSE:
            break
        for t in range(2):
            step = (value - gradient[t]) / q[t, t]
            p[t] += step
            value = (value + step * (step * q[t, t] + 2 * gradient[t])) / (1 + step) ** 2
            gradient = (gradient + step * q[t]) / (1 + step)
            p /= 1 + step
    return float(p[0])


@dataclass(frozen=True)
class Forest:
    """T decision trees whose probabilities are averaged (Breiman 2001)."""

    features: int
    """D."""
    roots: Ints
    """The first node of each tree, int64 [T]."""
    feature: Ints
    """Which feature a node asks for, int64 [M]; 0 at a leaf."""
    threshold: Floats
    """A node goes left where the feature is at most this, float64 [M]."""
    left: Ints
    """The next node on the left, int64 [M]; a leaf is its own next node."""
    right: Ints
    """The next node on the right, int64 [M]."""
    share: Floats
    """P(class 1) at a node, float64 [M]."""

    def probability(self, x: Floats) -> float:
        """P(class 1) for the features float64 [D]."""
        nodes = self.roots  # all trees go one step down at a time, until all are at a leaf
        while True:
            goes_left = x[self.feature[nodes]] <= self.threshold[nodes]
            below = np.where(goes_left, self.left[nodes], self.right[nodes])
            if np.array_equal(below, nodes):
                return float(self.share[nodes].mean())
            nodes = below


Classifier = SupportVectorMachine | Forest
