"""Remarks about the machines on which a run starts."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
from rich.console import Console

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import to_toml
from sequence_tutor.distributed.ray_cluster.join import start_ray, tell_of_gpus


@pytest.mark.parametrize(
    ("gpus", "changes", "mentioned"),
    [
        (2.0, {}, True),
        (0.0, {}, False),
        (2.0, {"learner": {"gpus": 1}}, False),
        (2.0, {"actors": {"gpus": 0.5}}, False),
        (2.0, {"mode": "synchronous"}, False),  # can't use a GPU
    ],
)
def test_unused_gpus_are_mentioned(
    make_run: Callable[..., RunConfig],
    monkeypatch: pytest.MonkeyPatch,
    gpus: float,
    changes: dict[str, Any],
    mentioned: bool,
):
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 8.0, "GPU": gpus})
    output = io.StringIO()
    tell_of_gpus(make_run(**({"mode": "asynchronous"} | changes)), Console(file=output))
    assert ("2 GPUs are here and not asked for" in output.getvalue()) == mentioned


def test_one_gpu_is_mentioned_in_the_singular(
    make_run: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 8.0, "GPU": 1.0})
    output = io.StringIO()
    tell_of_gpus(make_run(mode="asynchronous"), Console(file=output))
    assert "1 GPU is here and not asked for" in output.getvalue()


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[Exception | None]:
    """What the next starts of Ray raise, in place of starting it."""
    left: list[Exception | None] = []

    def init(**options: Any) -> None:
        assert options["address"] == "local"
        if (error := left.pop(0)) is not None:
            raise error

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return left


# As Ray says it.
LATE = Exception("The current node timed out during startup. This could happen because some of")


def test_a_slow_start_of_ray_is_tried_again(
    make_run: Callable[..., RunConfig], starts: list[Exception | None]
):
    starts += [LATE, None]
    assert not start_ray(make_run()) and starts == []
    starts += [RuntimeError("no such option"), None]  # control: another error is raised at once
    with pytest.raises(RuntimeError, match="no such option"):
        start_ray(make_run())
    assert starts == [None]


def test_a_start_of_ray_that_takes_too_long_is_one_sentence(
    make_run: Callable[..., RunConfig],
    starts: list[Exception | None],
    command: Callable[..., Any],
    tmp_path: Path,
):
    starts += [LATE, LATE]
    config = tmp_path / "run.toml"
    config.write_text(to_toml(make_run()))
    done = command("optimize", config, "--out", tmp_path / "out")
    done.refused("Ray didn't start on this machine in time", "in 2 attempts", "--local")
    assert starts == [] and not (tmp_path / "out").exists()


LOCAL = """
import os, subprocess, sys, ray
from sequence_tutor.distributed.config_file import parse_config
from sequence_tutor.distributed.ray_cluster.join import start_ray

start_ray(parse_config({"reward": {"component": [{"name": "qed"}]}}))
assert ray.get(ray.remote(lambda: 1).remote()) == 1
there = ray.get_runtime_context().gcs_address
code = f"import ray; ray.init(address={there!r}, log_to_driver=False); print(len(ray.nodes()))"
stranger = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
done = subprocess.run([sys.executable, "-c", code], env=stranger, capture_output=True)
assert done.returncode and b"uthenticat" in done.stderr, done
done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True)
assert done.stdout.split() == [b"1"], done
"""


def test_a_local_ray_refuses_processes_without_its_token():
    """Its ports are open on all of the machine's addresses."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    done = subprocess.run([sys.executable, "-c", LOCAL], env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
