"""Runs with `[diversity]` in the local engine."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from local_runs import rounds, rows
from rich.console import Console
from searching import SEARCHES_COMPONENTS

from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, to_toml
from sequence_tutor.distributed.local import LocalRun
from sequence_tutor.distributed.replay.worth.diversity import diversity_of
from sequence_tutor.distributed.types import TrainingBatch
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.domains import domain_of

LOCAL = Options(local=True)
FILTER = {"type": "murcko_scaffold", "bucket_size": 3, "min_score": 0.2}


@pytest.fixture
def diverse(make_run: Callable[..., RunConfig]) -> Callable[..., RunConfig]:
    def make(**changes: Any) -> RunConfig:
        tables = {"reward": {"component": [{"name": "qed"}]}, "actors": {"batch": 48}}
        return make_run(**(tables | {"diversity": FILTER} | changes))

    return make


def taught(run: LocalRun) -> list[TrainingBatch]:
    """The batches that the run's learner gets from now on."""
    batches: list[TrainingBatch] = []
    start = run.learning.start

    def note(given: list[TrainingBatch], temperature: float) -> None:
        batches.extend(given)
        start(given, temperature)

    run.learning.start = note
    return batches


def test_training_is_filtered_and_the_record_is_not(
    diverse: Callable[..., RunConfig], tmp_path: Path
):
    """No reward on record is 0: a molecule's QED is above, an invalid one is worth -1."""
    reward = {"component": [{"name": "qed"}], "invalid": -1.0}
    run, domain = diverse(reward=reward), domain_of("smiles")
    one = LocalRun(run, Location(tmp_path))
    batches = taught(one)
    rounds(one, 3)
    metrics, record = one.last_metrics, rows(tmp_path)
    one.stop()
    again = build_reward(run.reward).score(record.sequences)
    np.testing.assert_array_equal(record.rewards, again.rewards)
    assert not (record.rewards == 0).any()
    ends = [b.rewards[np.arange(len(b.lengths)), b.lengths - 1] for b in batches]
    assert 0.05 < (np.concatenate(ends) == 0).mean() < 0.9
    takes = (record.status == Status.OK) & (record.rewards >= FILTER["min_score"])
    counts = Counter(domain.group(record.keys[i], "murcko_scaffold") for i in np.flatnonzero(takes))
    lowered = sum(max(0, count - 3) for count in counts.values())
    valid = int((record.status == Status.OK).sum())
    assert lowered > 10 and metrics.lowered_share == pytest.approx(lowered / valid)
    assert metrics.groups == len(counts)
    table = pq.read_table(tmp_path / "scores")
    columns = (table[name].to_pylist() for name in ("key", "group.murcko_scaffold"))
    groups = dict(zip(*columns, strict=True))
    for key, status in zip(record.keys, record.status.tolist(), strict=True):
        expected = domain.group(key, "murcko_scaffold") if status == Status.OK else None
        assert groups[key] == expected


def test_without_the_table_nothing_is_lowered(diverse: Callable[..., RunConfig], tmp_path: Path):
    one = LocalRun(diverse(diversity=None), Location(tmp_path))
    rounds(one, 1)
    assert (one.last_metrics.groups, one.last_metrics.lowered_share) == (0, 0.0)
    one.stop()
    assert "group.murcko_scaffold" not in pq.read_table(tmp_path / "scores").column_names


def test_a_resumed_run_equals_the_uninterrupted_one(
    diverse: Callable[..., RunConfig], tmp_path: Path
):
    run = diverse(**SEARCHES_COMPONENTS)
    assert run.replay.shards == 2
    one = LocalRun(run, Location(tmp_path / "whole"))
    weights, metrics = rounds(one, 3), one.last_metrics
    one.stop()
    one = LocalRun(run, Location(tmp_path / "parts"))
    rounds(one, 1)
    checkpoint = one.save_run_checkpoint()
    rounds(one, 2)  # the record is ahead of the checkpoint
    one.stop()
    one = LocalRun(run, Location(tmp_path / "parts"))
    one.load_checkpoint(str(checkpoint))
    resumed = rounds(one, 3)
    assert 0 < one.last_metrics.lowered_share == metrics.lowered_share
    one.stop()
    assert all(np.array_equal(resumed[name], weights[name]) for name in weights)
    assert rows(tmp_path / "whole").keys == rows(tmp_path / "parts").keys


def test_a_whole_run_says_what_it_found(diverse: Callable[..., RunConfig], tmp_path: Path):
    out = io.StringIO()
    run = diverse(stop={"scores": 60})
    summary = optimize(run, tmp_path / "run", Console(file=out, width=300), LOCAL)
    m = summary.metrics
    assert m.lowered_share > 0 and "groups found " in out.getvalue()
    other = diverse(stop={"scores": 80}, diversity=FILTER | {"bucket_size": 9})
    with pytest.raises(ConfigError, match=r"another diversity\.bucket_size \(was 3, is 9\)"):
        optimize(other, tmp_path / "run", Console(quiet=True), Options(local=True, resume=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"diversity": {"type": "murko_scaffold"}}, "did you mean 'murcko_scaffold'"),
        ({"diversity": FILTER | {"min_similarity": 0.5}}, "equal or not; leave it out"),
        (
            {"diversity": FILTER | {"min_score": 1.5}},
            r"min_score = 1\.5 is never reached, as no reward is above 1",
        ),
    ],
)
def test_a_filter_that_can_do_nothing_is_refused(
    diverse: Callable[..., RunConfig], tmp_path: Path, changes: dict[str, Any], message: str
):
    with pytest.raises(ConfigError, match=message):
        optimize(diverse(**changes), tmp_path / "run", Console(quiet=True), LOCAL)
    assert not (tmp_path / "run").exists()


def test_numbers_out_of_range_are_refused(
    diverse: Callable[..., RunConfig], command: Callable[..., Any], tmp_path: Path
):
    config = tmp_path / "run.toml"
    config.write_text(to_toml(diverse()).replace("bucket_size = 3", "bucket_size = 0"))
    command("optimize", config, "--out", tmp_path / "run", "--local").refused(
        "diversity.bucket_size"
    )


def test_defaults_are_those_of_the_group(diverse: Callable[..., RunConfig]):
    found = {}
    for kind in domain_of("smiles").groupings:
        how = diversity_of(diverse(diversity={"type": kind}))
        assert how is not None
        found[kind] = how.rule.bucket_size, how.rule.min_score, how.rule.penalty_multiplier
        assert how.least == (0.4 if kind.startswith("similar") else None)
    assert found.pop("same_molecule") == (1, 0.0, 0.5)
    assert set(found.values()) == {(25, 0.4, 0.0)}
