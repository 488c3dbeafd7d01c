"""Pareto ranks: against slow restatements, and the hypervolume against counting points."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from sequence_tutor.rewards.aggregate import Aggregate
from sequence_tutor.rewards.bounds import worth_of_invalid
from sequence_tutor.rewards.compile import aggregate_of, build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.pareto import (
    MOST,
    crowding,
    dominated_by,
    front,
    hypervolume,
    rank_rewards,
)


def points(n: int, k: int, seed: int = 0) -> np.ndarray:
    """Some are equal in a value, some in all."""
    return np.random.default_rng(seed).integers(0, 12, (n, k)) / 10


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return all(x >= y for x, y in zip(a, b, strict=True)) and any(
        x > y for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_dominators_and_the_front_equal_slow_restatements(k: int):
    values, others = points(60, k), points(90, k, seed=1)
    slow = [sum(dominates(other, row) for other in others) for row in values]
    assert dominated_by(values, others).tolist() == slow
    best = [not any(dominates(other, row) for other in values) for row in values]
    assert front(values).tolist() == best and 0 < sum(best) < 60
    assert front(values[::-1]).tolist() == best[::-1]


def test_there_may_be_no_rows():
    none = np.zeros((0, 2))
    assert not len(front(none)) and not len(crowding(none)) and hypervolume(none) == 0
    assert dominated_by(none, points(5, 2)).tolist() == []
    assert dominated_by(points(5, 2), none).tolist() == [0] * 5
    assert not len(rank_rewards(np.zeros(0, np.int64), np.zeros(0)))


def test_crowding_is_the_gap_between_neighbours():
    values = np.array([[0.0, 1.0], [0.2, 0.9], [0.5, 0.5], [1.0, 0.0]])
    found = crowding(values)
    assert np.isinf(found[[0, 3]]).all()
    np.testing.assert_allclose(found[1:3], [0.5 + 0.5, 0.8 + 0.9])
    assert crowding(np.array([[0.3, 0.3]] * 3)).tolist() == [np.inf, 0, np.inf]


def test_a_rank_is_worth_less_the_more_rows_dominate_it():
    counts = np.array([0, 1, 10, MOST - 1, MOST, 10 * MOST])
    found = rank_rewards(counts)
    assert found[0] == 1 and found[-1] == found[-2] == 0
    assert (np.diff(found[:-1]) < 0).all()
    assert found[2] == pytest.approx(1 - math.log(11) / math.log(MOST + 1))


def test_of_equal_ranks_the_least_crowded_is_worth_most():
    counts, crowded = np.array([0, 0, 0, 1, 1]), np.array([0.1, np.inf, 0.5, 0.2, 0.3])
    found = rank_rewards(counts, crowded)
    assert found[1] == 1 and found[1] > found[2] > found[0] > found[4] > found[3]
    # but the most crowded of a rank is worth more than any of the next
    plain = rank_rewards(np.array([0, 1, 2]))
    assert plain[1] < found[0] < plain[0] and plain[2] < found[3] < plain[1]


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_hypervolume_is_the_share_of_points_below_the_front(k: int):
    random = np.random.default_rng(k)
    values = np.concatenate([random.random((25, k)), [[-0.5] * k]])
    thrown = random.random((20_000, k))
    below = (thrown[:, None] <= values).all(2).any(1).mean()
    assert hypervolume(values) == pytest.approx(below, abs=0.012)
    assert hypervolume(values * 0.5) == pytest.approx(hypervolume(values) * 0.5**k)


def test_the_hypervolume_of_a_staircase():
    assert hypervolume(np.array([[1.0, 0.5], [0.5, 1.0], [0.4, 0.4]])) == pytest.approx(0.75)


def test_what_is_compared_are_the_scores_times_filters_and_penalties():
    aggregate = Aggregate(
        "pareto", np.array([1.0, 2.0, 0.0, 1.0, 1.0]), np.array([0, 0, 0, 1, 1], bool)
    )
    nan = math.nan
    values = np.array([[0.5, 0.8, 0.3, 1.0, 0.5], [nan, nan, nan, 0.0, nan], [nan, 1, 1, 1, 1]])
    found = aggregate.apart(values)
    np.testing.assert_allclose(found, [[0.25, 0.4], [0, 0], [nan, 1]])
    assert aggregate(values[:1])[0] == pytest.approx((0.5 + 1.6) / 3 * 0.5)


def config(*parts: dict[str, Any]) -> RewardConfig:
    return RewardConfig.model_validate({"aggregate": "pareto", "component": list(parts)})


def test_the_reward_on_record_is_the_arithmetic_mean():
    parts = {"name": "qed"}, {"name": "csp3", "weight": 3}
    reward = build_reward(config(*parts))
    scores = reward.score(["CCc1ccccc1", "C("])
    raw = scores.raw
    assert scores.rewards[0] == pytest.approx((raw["qed"][0] + 3 * raw["csp3"][0]) / 4)
    assert scores.rewards[1] == worth_of_invalid(config(*parts), "molecules").value == 0
    keys, aggregate = aggregate_of(config(*parts), "molecules")
    assert keys == reward.keys and aggregate.name == "pareto"
    assert aggregate.weights.tolist() == [1, 3] and not aggregate.multiplies.any()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([{"name": "qed"}, {"name": "logp"}], "pareto needs every component in 0..1, and 'logp'"),
        ([{"name": "qed"}], "two or more components"),
        ([{"name": "qed"}, {"name": "csp3", "weight": 0}], "two or more components"),
        ([{"name": "qed"}, {"name": "alerts", "smarts": ["C"], "role": "filter"}], "two or more"),
    ],
)
def test_rewards_without_a_trade_off_are_refused(parts: list[dict[str, Any]], message: str):
    with pytest.raises(ValueError, match=message):
        build_reward(config(*parts))
