"""Batches that follow what each proposer has found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from searching import open_replay, with_texts

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import parse_config
from sequence_tutor.distributed.generating.shares import GIVEN, LEAST, batch_sizes
from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.types import Scored


def run_with(actors: int = 2, **changes: Any) -> RunConfig:
    proposers = {
        "adaptive": True,
        "genetic": {"batch": 100, "processes": 3},
        "mine": {"batch": 40},
    }
    return parse_config(
        {
            "reward": {"component": [{"name": "qed"}]},
            "actors": {"count": actors, "batch": 50},
            "proposers": proposers | changes,
            "stop": {"updates": 1},
        }
    )


@pytest.fixture
def replay(tmp_path: Path) -> ReplayClient:
    return open_replay(tmp_path / "record")


def test_without_adaptive_each_has_its_batch(replay: ReplayClient):
    assert batch_sizes(run_with(adaptive=False), replay) == (None, {"genetic": 100, "mine": 40})


def test_batches_follow_the_rows_among_the_best(
    replay: ReplayClient, make_scored: Callable[..., Scored]
):
    """The other 200 rows, of another proposer, are too bad to count."""
    before = batch_sizes(run_with(), replay)
    for source, n, reward in (("genetic", 80, 2.0), ("policy", 20, 2.0), ("mine", 200, 1.0)):
        keys = [f"{source} {i}" for i in range(n)]
        replay.add(with_texts(make_scored(keys, rewards=[reward] * n), source))
    run, after = run_with(), batch_sizes(run_with(), replay)
    whole = 100 * 3 + 40 + 50 * 2
    for sizes in (before, after):
        assert sizes.policy is not None
        total = 3 * sizes.others["genetic"] + sizes.others["mine"] + 2 * sizes.policy
        assert total == pytest.approx(whole, abs=4)
        assert sizes.policy >= LEAST * 50 and sizes.others["mine"] >= LEAST * 40
    share = (80 + GIVEN) / (100 + 3 * GIVEN)
    expected = LEAST * 100 + (1 - LEAST) * whole * share / 3
    assert after.others["genetic"] == round(expected) > before.others["genetic"]
    assert after.others["mine"] < before.others["mine"]
    assert batch_sizes(run, replay) == after


def test_without_actors_the_policy_has_no_part(replay: ReplayClient):
    sizes = batch_sizes(run_with(actors=0), replay)
    assert sizes.policy is None
    assert 3 * sizes.others["genetic"] + sizes.others["mine"] == pytest.approx(340, abs=3)
