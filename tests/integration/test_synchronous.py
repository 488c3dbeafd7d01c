"""Synchronous mode is repeatable bit for bit, also if stopped, resumed or disturbed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from records import rows_on_record

from sequence_tutor.distributed.algorithm import SequenceTutor
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.local import LocalRun
from sequence_tutor.distributed.population import is_policy, part_of
from sequence_tutor.distributed.types import Scored
from sequence_tutor.policies.files.storage import Location

ROUNDS, STOP_AFTER = 4, 2

# Weights, record and temperature at the end of a run.
Outcome = tuple[dict[str, np.ndarray], Scored, float]


def rounds(algorithm: SequenceTutor | LocalRun, until: int) -> None:
    while algorithm.tally.rounds < until:
        algorithm.train()
    algorithm.drain()


CONTROLLED = {"learner": {"temperature": "auto", "kl": 3.0}}
SEARCH = {
    "proposers": {"adaptive": True, "genetic": {"batch": 24}},
    "screen": {"batch": 24, "start": 40, "children": 16, "random": 0.2},
    "learner": {"population": [1.0, 3.0], "temperature": "auto", "kl": 3.0},
    "reward": {"aggregate": "pareto", "component": [{"name": "qed"}, {"name": "csp3"}]},
    "diversity": {"type": "murcko_scaffold", "bucket_size": 4, "min_score": 0.2},
}


@pytest.fixture(
    scope="module",
    params=[pytest.param(CONTROLLED, marks=pytest.mark.nightly), SEARCH],
    ids=["policy", "search"],
)
def wide(make_run: Callable[..., RunConfig], request: pytest.FixtureRequest) -> RunConfig:
    """Two of each part whose results may come in another order."""
    return make_run(
        actors={"count": 2, "batch": 24},
        scorers={"count": 2},
        replay={"lease_s": 5.0},
        **request.param,
    )


@pytest.fixture(scope="module")
def uninterrupted(wide: RunConfig, build: Any, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    out = tmp_path_factory.mktemp("uninterrupted")
    with build(wide, out) as algorithm:
        rounds(algorithm, ROUNDS)
        weights, temperature = algorithm.newest_weights()[1], algorithm.temperature.value
        assert (algorithm.last_metrics.lowered_share > 0.1) is (wide.diversity is not None)
    return weights, rows(out), temperature


def rows(out: Path) -> Scored:
    return rows_on_record(out / "scores")


def same(a: Scored, b: Scored) -> bool:
    """Whether all columns but times and process names are equal."""
    return (
        a.sequences == b.sequences
        and a.keys == b.keys
        and np.array_equal(a.rewards, b.rewards, equal_nan=True)
        and np.array_equal(a.versions, b.versions)
        and np.array_equal(a.log_probs, b.log_probs, equal_nan=True)
        and np.array_equal(a.tokens, b.tokens)
    )


def by_key(scored: Scored) -> Scored:
    return scored.select(np.argsort(scored.keys))


def equal_weights(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def test_a_disturbed_and_resumed_run_equals_the_undisturbed(
    wide: RunConfig, uninterrupted: Outcome, build: Any, tmp_path: Path
):
    """Its first half was made by the local engine. The temperature is controlled in both."""
    weights, record, temperature = uninterrupted
    local = LocalRun(wide, Location(tmp_path))
    rounds(local, STOP_AFTER)
    checkpoint = local.save_run_checkpoint()
    halfway, first_temperature = local.newest_weights()[1], local.temperature.value
    local.stop()
    first = rows(tmp_path)
    assert 0 < len(first) < len(record)
    assert not equal_weights(halfway, weights)

    with build(wide, tmp_path) as algorithm:
        algorithm.load_checkpoint(str(checkpoint))
        assert equal_weights(algorithm.newest_weights()[1], halfway)
        assert algorithm.temperature.value == first_temperature != temperature
        actor = next(iter(algorithm.env_runner_group._worker_manager.actors().values()))
        ray.kill(actor, no_restart=False)
        for process in algorithm.search.processes if algorithm.search else []:
            ray.kill(process, no_restart=False)
        rounds(algorithm, STOP_AFTER + 1)
        ray.kill(algorithm.scorers.fleet.processes[0], no_restart=False)
        rounds(algorithm, ROUNDS)
        assert equal_weights(algorithm.newest_weights()[1], weights)
        assert algorithm.last_metrics.temperature == temperature
    assert same(by_key(rows(tmp_path)), by_key(record))


def test_a_local_run_equals_the_run_on_ray(wide: RunConfig, uninterrupted: Outcome, tmp_path: Path):
    weights, record, temperature = uninterrupted
    run = LocalRun(wide, Location(tmp_path))
    rounds(run, ROUNDS)
    run.stop()
    assert run.temperature.value == temperature
    assert equal_weights(run.newest_weights()[1], weights)
    assert same(by_key(rows(tmp_path)), by_key(record))


def test_the_policy_learns_and_rows_are_distinct(
    uninterrupted: Outcome, prior_weights: dict[str, np.ndarray]
):
    weights, record, _ = uninterrupted
    assert not equal_weights(part_of(weights, 0), prior_weights)
    assert len(set(record.keys)) == len(record)
    assert len(set(record.versions) - {-1}) == ROUNDS
    assert len({a for a, s in zip(record.actors, record.sources, strict=True) if is_policy(s)}) == 2
