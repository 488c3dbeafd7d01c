"""The Gaussian process against a dense textbook computation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from sequence_tutor.distributed.screening.surrogate import (
    NOISES,
    GaussianProcess,
    join_predictions,
    mixes,
)

TOLERANCE = {"rtol": 1e-6, "atol": 1e-6}


def kernel_of(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64 [M,N], one pair after the other."""
    rows = [[np.minimum(x, y).sum(dtype=float) for y in b] for x in a]
    high = [[np.maximum(x, y).sum(dtype=float) for y in b] for x in a]
    return np.array(rows) / np.array(high)


def log_likelihood(kernel: np.ndarray, y: np.ndarray) -> float:
    """log N(y; 0, v kernel) at the v that makes it largest, found by trying many."""
    inverse, log_determinant = np.linalg.inv(kernel), np.linalg.slogdet(kernel)[1]
    n, square = len(y), y @ inverse @ y
    v = np.exp(np.linspace(np.log(square / n) - 0.5, np.log(square / n) + 0.5, 2001))
    return float((-0.5 * (square / v + n * np.log(2 * np.pi * v) + log_determinant)).max())


class Data:
    """Rows, others, and rewards that depend on one of the blocks."""

    def __init__(self, seed: int, blocks: int, noise: float, follows: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.rows = [random.poisson(1.0, (40, 12)).astype(np.uint8) for _ in range(blocks)]
        self.others = [random.poisson(1.0, (15, 12)).astype(np.uint8) for _ in range(blocks)]
        slope = random.normal(size=12)
        value = self.rows[follows] @ slope / 10
        self.targets = np.stack([5 + value, random.normal(size=40)], axis=1)
        self.targets[:, 0] += noise * random.normal(size=40)
        self.keys = [f"key {i}" for i in range(40)]

    def kernel(
        self, a: list[np.ndarray], b: list[np.ndarray], mix: tuple[float, ...]
    ) -> np.ndarray:
        kernels = np.array([kernel_of(x, y) for x, y in zip(a, b, strict=True)])
        return np.tensordot(mix, kernels, axes=1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("blocks", [1, 2, 3])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_predictions_are_those_of_the_closed_form(seed: int, blocks: int, noise: float):
    data, process = Data(seed, blocks, noise, follows=blocks - 1), GaussianProcess()
    process.fit(data.keys, data.rows, data.targets)
    found = process.predict(data.others)
    y = (data.targets - data.targets.mean(0)) / data.targets.std(0)
    inside = data.kernel(data.rows, data.rows, process.mix) + process.noise * np.eye(40)
    across = data.kernel(data.others, data.rows, process.mix)
    inverse = np.linalg.inv(inside)
    means = data.targets.mean(0) + data.targets.std(0) * (across @ inverse @ y)
    variance = np.array([y[:, k] @ inverse @ y[:, k] / 40 for k in range(2)])
    scale = variance * data.targets.std(0) ** 2
    prior = data.kernel(data.others, data.others, process.mix)
    covariance = prior - across @ inverse @ across.T
    np.testing.assert_allclose(found.means, means, **TOLERANCE)
    expected = np.sqrt(np.diag(covariance)[:, None] * scale)
    np.testing.assert_allclose(found.deviations, expected, **TOLERANCE)
    rows = np.array([3, 0, 14])
    np.testing.assert_allclose(
        process.covariance(found, rows), covariance[np.ix_(rows, rows)] * scale[0], **TOLERANCE
    )
    assert process.noise_variance == pytest.approx(process.noise * scale[0], rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_marginal_likelihood_chooses_mix_and_noise(seed: int):
    data, process = Data(seed, 3, 0.3 * seed, follows=seed % 3), GaussianProcess()
    process.fit(data.keys, data.rows, data.targets)
    y = (data.targets[:, 0] - data.targets[:, 0].mean()) / data.targets[:, 0].std()
    likelihood = {
        (mix, noise): log_likelihood(data.kernel(data.rows, data.rows, mix) + noise * np.eye(40), y)
        for mix, noise in product(mixes(3), NOISES)
    }
    assert (process.mix, process.noise) == max(likelihood, key=lambda point: likelihood[point])


def test_mixes_are_the_means_over_some_blocks():
    assert mixes(1) == [(1.0,)]
    assert set(mixes(2)) == {(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)}
    assert len(set(mixes(3))) == 7 and all(sum(mix) == pytest.approx(1) for mix in mixes(3))


def test_the_choice_depends_on_the_data():
    """A control of the tests above: not every point of the grid is chosen always."""
    chosen = set()
    for seed, noise, follows in product(range(3), (0.0, 1.0), (0, 1)):
        data, process = Data(seed, 2, noise, follows), GaussianProcess()
        process.fit(data.keys, data.rows, data.targets)
        chosen.add((process.mix, process.noise))
    assert len({mix for mix, _ in chosen}) > 1 and len({noise for _, noise in chosen}) > 1


def test_a_second_fit_forgets_the_first():
    first, second = Data(0, 2, 0.1), Data(1, 2, 0.1)
    used, fresh = GaussianProcess(), GaussianProcess()
    used.fit(first.keys[:30], [b[:30] for b in first.rows], first.targets[:30])
    used.fit(first.keys[10:], [b[10:] for b in first.rows], first.targets[10:])
    fresh.fit(first.keys[10:], [b[10:] for b in first.rows], first.targets[10:])
    np.testing.assert_array_equal(
        used.predict(second.others).means, fresh.predict(second.others).means
    )


def test_joined_predictions_are_those_of_all():
    data, process = Data(0, 2, 0.1), GaussianProcess()
    process.fit(data.keys, data.rows, data.targets)
    whole = process.predict(data.others)
    parts = [process.predict([b[s] for b in data.others]) for s in (slice(0, 4), slice(4, 15))]
    joined, rows = join_predictions(parts), np.array([2, 9])
    np.testing.assert_allclose(joined.means, whole.means, rtol=1e-12)
    np.testing.assert_allclose(joined.deviations, whole.deviations, rtol=1e-12)
    np.testing.assert_allclose(
        process.covariance(joined, rows), process.covariance(whole, rows), rtol=1e-9
    )


@pytest.mark.parametrize("rows", [1, 2, 40])
def test_equal_rewards_and_few_rows_give_finite_predictions(rows: int):
    data, process = Data(0, 2, 0.1), GaussianProcess()
    process.fit(data.keys[:rows], [b[:rows] for b in data.rows], np.full((rows, 1), 3.0))
    found = process.predict(data.others)
    np.testing.assert_allclose(found.means, 3.0)
    assert np.isfinite(found.deviations).all() and (found.deviations >= 0).all()
    assert np.isfinite(process.covariance(found, np.arange(5))).all()


def test_many_rows_are_chosen_on_a_part_of_them():
    random = np.random.default_rng(0)
    counts = [random.poisson(1.0, (500, 6)).astype(np.uint8) for _ in range(2)]
    targets = counts[0] @ random.normal(size=(6, 1))
    process = GaussianProcess()
    process.fit([str(i) for i in range(500)], counts, targets)
    found = process.predict([block[:50] for block in counts])
    assert process.mix == (1.0, 0.0)
    assert np.corrcoef(found.means[:, 0], targets[:50, 0])[0, 1] > 0.95
