"""Which of a run's best are drawn and played."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from sequence_tutor.distributed.report.best_shown import best_shown
from sequence_tutor.distributed.types import Scored
from sequence_tutor.policies.prior import Prior, load_prior
from sequence_tutor.rewards.domains import domain_of

LIKELY = "C4---D4---E4---F4---G4---F4---E4---D4---"
STRANGE = "C3B5" * 16
NEAR = LIKELY.replace("D4---", "E4---", 1)


@pytest.fixture(scope="module")
def prior() -> Prior:
    return load_prior("lieder")


def shown(
    make: Callable[..., Scored],
    prior: Prior,
    rewards: dict[str, float],
    c: float,
    n: int = 10,
    encoding: str = "melody",
) -> list[str]:
    order = sorted(rewards, key=rewards.__getitem__, reverse=True)
    top = replace(make(order, [rewards[text] for text in order]), sequences=order)
    return best_shown(top, prior, domain_of(encoding), c, n)


def test_reward_and_likelihood_decide(make_scored: Callable[..., Scored], prior: Prior):
    rewards = {STRANGE: 40.0, LIKELY: 30.0}
    assert shown(make_scored, prior, rewards, 2.0) == [LIKELY, STRANGE]
    assert shown(make_scored, prior, rewards, 0.0) == [STRANGE, LIKELY]
    assert shown(make_scored, prior, rewards, math.nan) == [STRANGE, LIKELY]
    # molecules are shown by reward alone
    molecules = {"CCO": 2.0, "CCN": 1.0}
    assert shown(make_scored, prior, molecules, 2.0, encoding="smiles") == ["CCO", "CCN"]


def test_what_is_too_similar_comes_last(make_scored: Callable[..., Scored], prior: Prior):
    rewards = {LIKELY: 30.0, NEAR: 29.0, STRANGE: 20.0}
    assert shown(make_scored, prior, rewards, 0.0) == [LIKELY, STRANGE, NEAR]
    assert shown(make_scored, prior, rewards, 0.0, n=2) == [LIKELY, STRANGE]


def test_what_the_prior_cannot_write_comes_after_what_it_can(
    make_scored: Callable[..., Scored], prior: Prior
):
    waltz = "3/4:" + "C4-----------" * 2
    rewards = {waltz: 50.0, LIKELY: 30.0}
    assert shown(make_scored, prior, rewards, 2.0) == [LIKELY, waltz]
    assert shown(make_scored, prior, rewards, math.nan) == [waltz, LIKELY]


def test_without_rows_nothing_is_shown(prior: Prior):
    assert best_shown(None, prior, domain_of("melody"), 2.0, 10) == []
