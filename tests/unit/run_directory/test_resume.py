"""Settings that may change in a resumed run, and half-written files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, to_toml
from sequence_tutor.distributed.metrics.tally import Metrics
from sequence_tutor.distributed.metrics.writer import MetricsWriter
from sequence_tutor.distributed.run_directory import checkpoint
from sequence_tutor.distributed.run_directory.checkpoint import Checkpoint, CheckpointError
from sequence_tutor.distributed.run_directory.resume import check_directory

MakeRun = Callable[..., RunConfig]


def begun(run: RunConfig, out: Path) -> Path:
    out.mkdir()
    (out / "config.toml").write_text(to_toml(run))
    return out


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"stop": {"scores": 5}},
        {"actors": {"count": 3}, "scorers": {"count": 2}, "checkpoint": {"keep": 7}},
        {"reward": {"timeout_s": 5.0, "memory_mb": 100}},
        {"learner": {"threads": 2}},
    ],
)
def test_settings_that_may_change_in_a_resumed_run(
    make_run: MakeRun, tmp_path: Path, changes: dict[str, object]
):
    out = begun(make_run(), tmp_path / "run")
    check_directory(make_run(**changes), out, resume=True)


def test_the_limits_of_a_component_may_change(make_run: MakeRun, tmp_path: Path):
    part = {"name": "rest", "url": "http://x/", "rate": 2}

    def run(**changes: object) -> RunConfig:
        return make_run(reward={"component": [part | changes]})

    out = begun(run(), tmp_path / "run")
    check_directory(run(rate=5, retries=9, batch=4, timeout_s=1.0), out, resume=True)
    with pytest.raises(ConfigError, match="reward.component"):
        check_directory(run(read="values"), out, resume=True)


def test_settings_that_may_not_change_raise_with_both_values(make_run: MakeRun, tmp_path: Path):
    out = begun(make_run(), tmp_path / "run")
    component = {"component": [{"name": "qed"}]}
    other = make_run(learner={"temperature": 0.25, "lambda": 0.5}, reward=component)
    with pytest.raises(ConfigError) as caught:
        check_directory(other, out, resume=True)
    text = str(caught.value)
    assert "learner.temperature (was 0.5, is 0.25)" in text
    assert "learner.lambda (was None, is 0.5)" in text
    assert "reward.component" in text
    assert "seed" not in text and "learner.batch" not in text


def test_shards_may_change_only_in_asynchronous_mode(make_run: MakeRun, tmp_path: Path):
    more = {"replay": {"shards": 5}}
    out = begun(make_run(mode="asynchronous"), tmp_path / "run")
    check_directory(make_run(mode="asynchronous", **more), out, resume=True)
    with pytest.raises(ConfigError, match=r"replay.shards \(was 2, is 5\)"):
        check_directory(make_run(**more), begun(make_run(), tmp_path / "other"), resume=True)


@pytest.mark.parametrize(
    "before", [{}, {"proposers": {"genetic": {}}, "screen": {"batch": 8}}], ids=["without", "with"]
)
def test_the_search_may_change_only_in_asynchronous_mode(
    make_run: MakeRun, tmp_path: Path, before: dict[str, object]
):
    after = {"proposers": {"genetic": {"batch": 9}, "mine": {"batch": 2}}, "screen": {}}
    out = begun(make_run(mode="asynchronous", **before), tmp_path / "run")
    check_directory(make_run(mode="asynchronous", **after), out, resume=True)
    check_directory(make_run(mode="asynchronous"), out, resume=True)
    other = begun(make_run(**before), tmp_path / "other")
    with pytest.raises(ConfigError, match=r"another proposers.*screen"):
        check_directory(make_run(**after), other, resume=True)


def test_resuming_a_directory_without_a_run_raises(make_run: MakeRun, tmp_path: Path):
    with pytest.raises(ConfigError, match="holds no run to resume"):
        check_directory(make_run(), tmp_path, resume=True)


def saved(updates: int, sequences: int = 0) -> Checkpoint:
    return Checkpoint(
        tensors={"model.w": np.full(3, updates, np.float32)},
        counters={"updates": updates, "sequences": sequences},
        live_rows=[4, 5],
        elapsed_s=1.5,
        config="seed = 1\n",
    )


def test_the_last_checkpoints_are_kept_whole(tmp_path: Path):
    paths = [checkpoint.save(tmp_path, saved(n), keep=2) for n in (8, 16, 100)]
    assert checkpoint.complete(tmp_path) == paths[1:]
    newest = checkpoint.read(paths[-1])
    assert newest.tensors["model.w"].tolist() == [100.0] * 3
    assert (newest.counters["updates"], newest.live_rows, newest.elapsed_s) == (100, [4, 5], 1.5)
    assert newest.config == "seed = 1\n"
    later = checkpoint.save(tmp_path, saved(100, sequences=7), keep=2)
    assert checkpoint.complete(tmp_path) == [paths[2], later]


def test_an_incomplete_checkpoint_is_ignored_and_swept(tmp_path: Path):
    whole = checkpoint.save(tmp_path, saved(8), keep=2)
    unfinished = checkpoint.save(tmp_path, saved(24), keep=2)
    (unfinished / checkpoint.MARKER).remove()
    assert checkpoint.complete(tmp_path) == [whole]
    with pytest.raises(CheckpointError, match="is not a complete checkpoint"):
        checkpoint.read(unfinished)
    later = checkpoint.save(tmp_path, saved(32), keep=2)  # deletes the incomplete one
    assert [p.name for p in sorted(tmp_path.iterdir())] == [whole.name, later.name]


@pytest.mark.parametrize("name", [checkpoint.TENSORS, checkpoint.STATE])
def test_a_broken_checkpoint_raises_with_its_name(tmp_path: Path, name: str):
    path = checkpoint.save(tmp_path, saved(8), keep=2)
    (path / name).write(b"{ nothing")
    with pytest.raises(CheckpointError, match=f"{path.name} can't be read.*remove it"):
        checkpoint.read(path)


def test_metrics_continue_from_the_checkpoint(tmp_path: Path):
    writer = MetricsWriter(tmp_path)
    for i in range(1, 6):
        writer.write(Metrics(iteration=i, updates=10 * i))
    writer.close()
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text()[:-20])  # the driver was killed while it wrote
    writer = MetricsWriter(tmp_path, iteration=3, updates=30)
    writer.write(Metrics(iteration=4, updates=41))
    writer.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["updates"] for line in lines] == [10, 20, 30, 41]
