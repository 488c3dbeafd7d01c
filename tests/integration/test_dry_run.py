"""`optimize --dry-run` on Ray's engine doesn't start Ray."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import to_toml


def test_a_dry_run_counts_processes_without_ray(
    command: Callable[..., Any],
    make_run: Callable[..., RunConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    import ray

    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr(ray, "init", refuse)
    file = tmp_path / "run.toml"
    file.write_text(to_toml(make_run(scorers={"count": 3}, actors={"count": 2})))
    dry = ("optimize", file, "--out", tmp_path / "out", "--dry-run")
    done = command(*dry)
    assert done.code == 0, done
    processes = "2 actors, 3 scorers, 1 learner, 2 replay shards; they ask for 6.02 CPU; this"
    assert processes in done.out and "each scorer may take 4,096 MB" in done.out
    many = ("--set=learner.gpus=99", "--set=mode=asynchronous")
    command(*dry, *many).refused("the run needs 99 GPUs and this machine has")
    assert not (tmp_path / "out").exists()


def test_a_dry_run_counts_what_a_cluster_has(
    local_ray: None, command: Callable[..., Any], make_run: Callable[..., RunConfig], tmp_path: Path
):
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
        file = tmp_path / "run.toml"
        file.write_text(to_toml(make_run()))
        done = command("optimize", file, "--out", tmp_path / "out", "--dry-run")
        assert done.code == 0 and "has 8 CPU, 0 GPU" in done.out, done
        many = "--set=scorers.count=50"
        command("optimize", file, "--dry-run", many).refused("the run needs", "Ray cluster has 8")
    assert ray.is_initialized()
