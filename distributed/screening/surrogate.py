"""A Gaussian process that predicts rewards from counts (Rasmussen and Williams 2006).

It is a function of its rows alone, without memory of earlier rounds, so a resumed run predicts as
an uninterrupted one. Rewards are standardised; the prior mean is that of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

from sequence_tutor.distributed.screening.tanimoto import Comparison, Indicators

# What the marginal likelihood chooses from, beside the blocks: the noise's variance, as a part of
# the signal's.
NOISES = (0.001, 0.01, 0.1)
# Most rows that this choice is made on; it costs the cube of them for each point of the grid.
FIT_ROWS = 256


@dataclass(frozen=True)
class Prediction:
    """What is expected of M sequences."""

    means: np.ndarray
    """float64 [M,K] of K outputs, in their units."""
    deviations: np.ndarray
    """float64 [M,K], standard deviations, in their units."""
    blocks: list[np.ndarray]
    """The counts that were given, uint8 [M,F] each."""
    half: np.ndarray
    """float64 [N,M]: the inverse Cholesky factor times the kernel with the N rows; its products are
    what the rows explain of the M sequences' covariance."""


def join_predictions(parts: Sequence[Prediction]) -> Prediction:
    """Predictions of one process, one after the other."""
    return Prediction(
        np.concatenate([part.means for part in parts]),
        np.concatenate([part.deviations for part in parts]),
        [np.concatenate(blocks) for blocks in zip(*(part.blocks for part in parts), strict=True)],
        np.concatenate([part.half for part in parts], axis=1),
    )


def mixes(blocks: int) -> list[tuple[float, ...]]:
    """Shares of the blocks' kernels in the whole: each mean over some of the blocks."""
    some = [chosen for chosen in product((0, 1), repeat=blocks) if any(chosen)]
    return [tuple(one / sum(chosen) for one in chosen) for chosen in some]


class GaussianProcess:
    """The posterior of K outputs that share a kernel: a mean over those of some blocks.

    mix: each block's share, and noise: chosen by `fit`.
    """

    def __init__(self) -> None:
        self._comparison = Comparison()
        self.mix: tuple[float, ...] = ()
        self.noise = NOISES[0]

    def fit(self, keys: list[str], blocks: list[np.ndarray], targets: np.ndarray) -> None:
        """Condition on N >= 1 rows: targets float64 [N,K], finite. The first output chooses mix and
        noise. blocks: arrays of counts, uint8 [N,F] each; keys: see `Comparison`."""
        kernels = self._comparison.take(keys, blocks)
        self._means, spread = targets.mean(0), targets.std(0)
        self._spreads = np.where(spread > 1e-12, spread, 1.0)
        y = (targets - self._means) / self._spreads
        self.mix, self.noise = _most_likely(kernels, y[:, 0])
        kernel = _mixed(kernels, self.mix)
        kernel[np.diag_indices_from(kernel)] += self.noise
        self._factor = cholesky(kernel, lower=True, overwrite_a=True, check_finite=False)
        self._weights = cho_solve((self._factor, True), y, check_finite=False)
        # of the signal, at its most likely value
        variances = (y * self._weights).sum(0) / len(y)
        self._scales = np.sqrt(np.maximum(variances, 1e-12)) * self._spreads

    def predict(self, blocks: list[np.ndarray]) -> Prediction:
        """The posterior of M others, counts uint8 [M,F] each."""
        across = self._sum(self._comparison.across, blocks)
        half = solve_triangular(self._factor, across.T, lower=True, check_finite=False)
        unexplained = np.maximum(1.0 - np.einsum("nm,nm->m", half, half), 1e-9)
        means = self._means + self._spreads * (across @ self._weights)
        return Prediction(means, np.sqrt(unexplained)[:, None] * self._scales, blocks, half)

    @property
    def noise_variance(self) -> float:
        """Variance of the first output's noise, in its unit squared."""
        return float(self.noise * self._scales[0] ** 2)

    def covariance(self, prediction: Prediction, rows: np.ndarray) -> np.ndarray:
        """Posterior covariance of the first output among R of the predicted, float64 [R,R]."""
        chosen = [block[rows] for block in prediction.blocks]
        prior = self._sum(lambda _, block: Indicators(block).kernel(block), chosen)
        half = prediction.half[:, rows]
        covariance: np.ndarray = (prior - half.T @ half) * self._scales[0] ** 2
        return covariance

    def _sum(
        self, kernel: Callable[[int, np.ndarray], np.ndarray], blocks: list[np.ndarray]
    ) -> np.ndarray:
        """The mix of the blocks' kernels, float64; those without a share aren't computed."""
        parts = [
            share * kernel(number, block).astype(np.float64)
            for number, (block, share) in enumerate(zip(blocks, self.mix, strict=True))
            if share
        ]
        whole: np.ndarray = np.add.reduce(parts)
        return whole


def _mixed(kernels: list[np.ndarray], mix: Sequence[float]) -> np.ndarray:
    """float64 copy."""
    whole = np.zeros(kernels[0].shape)
    for kernel, share in zip(kernels, mix, strict=True):
        if share:
            whole += share * kernel.astype(np.float64)
    return whole


def _most_likely(kernels: list[np.ndarray], y: np.ndarray) -> tuple[tuple[float, ...], float]:
    """The mix and the noise with the highest marginal likelihood of y, float64 [N], at the most
    likely variance of the signal. Of many rows a part is used, spread over all."""
    rows = np.unique(np.linspace(0, len(y) - 1, min(len(y), FIT_ROWS)).astype(np.int64))
    parts = [kernel[np.ix_(rows, rows)] for kernel in kernels]
    y = y[rows]
    found = {}
    for mix, noise in product(mixes(len(parts)), NOISES):
        kernel = _mixed(parts, mix)
        kernel[np.diag_indices_from(kernel)] += noise
        factor = cholesky(kernel, lower=True, overwrite_a=True, check_finite=False)
        half = solve_triangular(factor, y, lower=True, check_finite=False)
        variance = max(float(half @ half) / len(y), 1e-12)
        log_determinant = 2 * np.log(np.diag(factor)).sum()
        found[mix, noise] = -0.5 * (len(y) * np.log(variance) + log_determinant)
    return max(found, key=lambda point: found[point])
