"""Warnings about rewards that can't teach anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields, replace

import numpy as np
import pytest

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.metrics.reward_watch import (
    WINDOW,
    RewardWatch,
    judged_temperature,
)
from sequence_tutor.distributed.replay.messages import ShardStats
from sequence_tutor.distributed.reward_spread import RewardSpread

STATS = ShardStats(**{f.name: 0 for f in fields(ShardStats) if f.default is MISSING})  # type: ignore[arg-type]


def watched(rewards: np.ndarray, c: float | None = None, batch: int = 32) -> RewardWatch:
    watch = RewardWatch(c)
    for first in range(0, len(rewards), batch):
        watch.add(RewardSpread.of(rewards[first : first + batch]))
        best = np.sort(rewards[: first + batch])[::-1][:100]
        watch.look(replace(STATS, best=best))
    return watch


def normal(n: int = 2 * WINDOW) -> np.ndarray:
    """Rewards as QED has them for the prior: 0.7, give or take 0.14."""
    return np.random.default_rng(0).normal(0.7, 0.14, n)


def test_equal_rewards_warn_once_and_again_after_they_differed():
    zeros, ones = np.zeros(2 * WINDOW), np.ones(2 * WINDOW)
    [text] = watched(zeros).take_warnings()
    assert "the reward was 0 for each of the latest 256 scores" in text
    assert watched(np.zeros(WINDOW - 1)).take_warnings() == []
    mixed = np.tile([0.0, 0.5], WINDOW)
    assert watched(mixed).take_warnings() == []
    assert len(watched(np.concatenate([zeros, mixed, ones])).take_warnings()) == 2
    # batches of one, with one other reward in each window
    rare = np.zeros(4 * WINDOW)
    rare[:: WINDOW // 2] = 1.0
    assert watched(rare, batch=1).take_warnings() == []


@pytest.mark.parametrize("c", [0.005, 0.02, 0.1])
def test_a_temperature_that_suits_the_rewards_is_no_warning(c: float):
    assert watched(normal(), c).take_warnings() == []
    assert watched(1000 * normal() - 5000, 1000 * c).take_warnings() == []


def test_a_temperature_far_from_the_rewards_warns_once():
    [text] = watched(normal(), 1.0).take_warnings()
    assert "learner.temperature = 1 is large" in text and "try 0.03, or" in text
    [text] = watched(normal(), 0.001).take_warnings()
    assert "learner.temperature = 0.001 is small" in text and "try 0.03, or" in text
    watch = watched(normal(), 1.0)
    watch.take_warnings()
    watch.look(replace(STATS, best=normal()))
    assert watch.take_warnings() == []


def test_equal_rewards_have_no_scale_until_one_differs():
    rewards = np.zeros(3 * WINDOW)
    watch = watched(rewards, 0.02)
    assert len(watch.take_warnings()) == 1
    rewards[-1] = 1.0
    watch = watched(rewards, 0.02)
    assert all("temperature" not in text for text in watch.take_warnings())


def test_the_scale_is_judged_at_the_prior_only():
    watch = RewardWatch(1.0)
    watch.leave_scale()
    watch.add(RewardSpread.of(normal()))
    watch.look(replace(STATS, best=normal()))
    assert watch.take_warnings() == []


def test_a_temperature_that_is_found_is_not_judged(make_run: Callable[..., RunConfig]):
    assert judged_temperature(make_run(learner={"temperature": 0.3})) == 0.3
    assert judged_temperature(make_run(learner={"temperature": "auto"})) is None
    assert judged_temperature(make_run(replay={"ratio": 0})) is None


def test_spreads_add_up():
    rewards = normal(100)
    parts = RewardSpread.of(rewards[:30]).plus(RewardSpread.of(rewards[30:]))
    whole = RewardSpread.of(np.append(rewards, np.nan))
    assert parts == pytest.approx(whole)
    assert RewardSpread().plus(whole) == whole
    assert RewardSpread.of(np.array([np.nan])) == RewardSpread()
