"""Picks of a batch against a brute-force search that conditions from scratch each time."""

from __future__ import annotations

import numpy as np
import pytest

from sequence_tutor.distributed.screening.choice import CANDIDATES, choose_batch, shortlist

NOISE, EXPLORE = 0.01, (0.1, 2.0)


def posterior(seed: int, m: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Means and a covariance in which some candidates are nearly the same."""
    random = np.random.default_rng(seed)
    factor = random.normal(size=(m // 3, 5))[np.arange(m) // 3] + 0.1 * random.normal(size=(m, 5))
    return random.normal(size=m), factor @ factor.T / 5


def brute_force(
    means: np.ndarray, covariance: np.ndarray, n: int, random: np.random.Generator
) -> list[int]:
    picked: list[int] = []
    for _ in range(n):
        b = np.exp(random.uniform(*np.log(EXPLORE)))
        left = covariance
        if picked:
            inside = covariance[np.ix_(picked, picked)] + NOISE * np.eye(len(picked))
            across = covariance[:, picked]
            left = covariance - across @ np.linalg.inv(inside) @ across.T
        value = {
            i: means[i] + b * np.sqrt(max(left[i, i], 0.0))
            for i in range(len(means))
            if i not in picked
        }
        picked.append(max(value, key=lambda i: value[i]))
    return picked


@pytest.mark.parametrize("seed", range(8))
def test_picks_are_those_of_brute_force(seed: int):
    means, covariance = posterior(seed)
    before = covariance.copy()
    random, again = np.random.default_rng(seed), np.random.default_rng(seed)
    picked = choose_batch(means, covariance, NOISE, 12, EXPLORE, random)
    assert picked == brute_force(means, covariance, 12, again)
    assert len(set(picked)) == 12
    np.testing.assert_array_equal(covariance, before)  # the arguments stay as they were


def test_control_picks_without_conditioning_are_others():
    different = 0
    for seed in range(8):
        means, covariance = posterior(seed)
        random = np.random.default_rng(seed)
        b = [np.exp(random.uniform(*np.log(EXPLORE))) for _ in range(12)]
        plain: list[int] = []
        for one in b:
            value = means + one * np.sqrt(np.diag(covariance))
            value[plain] = -np.inf
            plain.append(int(value.argmax()))
        random = np.random.default_rng(seed)
        different += plain != choose_batch(means, covariance, NOISE, 12, EXPLORE, random)
    assert different >= 6


def test_all_candidates_are_picked_where_there_are_too_few():
    means, covariance = posterior(0)
    random = np.random.default_rng(0)
    assert sorted(choose_batch(means, covariance, NOISE, 99, EXPLORE, random)) == list(range(30))
    assert choose_batch(means[:0], covariance[:0, :0], NOISE, 3, EXPLORE, random) == []
    assert choose_batch(means, covariance, NOISE, 0, EXPLORE, random) == []


def test_equal_candidates_are_picked_once_each():
    """Their covariance is singular, and after one pick nothing is left of it."""
    random = np.random.default_rng(0)
    picked = choose_batch(np.zeros(5), np.ones((5, 5)), 0.0, 5, EXPLORE, random)
    assert sorted(picked) == [0, 1, 2, 3, 4]


def test_the_shortlist_has_the_most_promising_first():
    random = np.random.default_rng(0)
    means, deviations = random.normal(size=1000), random.random(1000)
    found, hope = shortlist(means, deviations, 8), means + 2 * deviations
    assert len(found) == CANDIDATES and (np.diff(hope[found]) <= 0).all()
    assert hope[found].min() >= np.delete(hope, found).max()
    assert len(shortlist(means, deviations, 100)) == 800
    assert shortlist(means[:3], deviations[:3], 8).tolist() == np.argsort(-hope[:3]).tolist()
