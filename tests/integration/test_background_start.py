"""What a run starts with: little, and nobody waits for what he doesn't need."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.ray_cluster.background_start import (
    PendingLearnerGroup,
    import_in_background,
)

Build = Callable[[RunConfig, Path], Any]
# What takes a process a second or more to load.
HEAVY = ("torch", "ray.rllib", "ray.tune", "torch._dynamo")


def heavy_modules(process: ray.actor.ActorHandle) -> set[str]:
    def loaded(_: Any) -> list[str]:
        return list(sys.modules)

    return set(HEAVY) & set(ray.get(process.__ray_call__.remote(loaded)))


def test_processes_load_what_they_need_and_score_before_there_is_a_learner(
    build: Build,
    make_run: Callable[..., RunConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    may_start, really = threading.Event(), AlgorithmConfig.build_learner_group
    # who waited for the learner would wait for ever
    alarm = threading.Timer(60.0, may_start.set)
    alarm.start()

    def wait_and_build(self: AlgorithmConfig, **options: Any) -> Any:
        may_start.wait()
        return really(self, **options)

    monkeypatch.setattr(AlgorithmConfig, "build_learner_group", wait_and_build)
    with build(make_run(mode="asynchronous"), tmp_path) as algorithm:
        until = time.monotonic() + 50.0
        while not algorithm.tally.valid and time.monotonic() < until:
            algorithm.train()
        assert algorithm.tally.valid and not may_start.is_set()
        assert not algorithm.learners_are_there() and not algorithm.tally.updates
        alarm.cancel()
        may_start.set()
        until = time.monotonic() + 60.0
        while not algorithm.tally.updates and time.monotonic() < until:
            algorithm.train()
        assert algorithm.learners_are_there() and algorithm.tally.updates
        # all have done what they are there for
        for process in (algorithm.board, *algorithm.shards, *algorithm.scorers.fleet.processes):
            assert not heavy_modules(process)
        actors = algorithm.env_runner_group._worker_manager._actors.values()
        for actor in actors:  # who needs PyTorch has it: the question is a fair one
            assert {"torch", "ray.rllib"} <= heavy_modules(actor)
            assert "torch._dynamo" not in heavy_modules(actor)


def test_learners_that_cannot_start_say_why():
    def fails() -> None:
        raise OSError("no such device")

    learners = PendingLearnerGroup(fails)
    with pytest.raises(OSError, match="no such device"):
        learners.update()
    with pytest.raises(OSError, match="no such device"):
        learners.are_there()
    learners.shutdown()  # told once is enough


def test_learners_that_come_are_as_if_they_had_been_there():
    may_come = threading.Event()

    def build() -> list[int]:
        may_come.wait(10.0)
        return [1, 2]

    learners = PendingLearnerGroup(build)
    assert not learners.are_there()
    may_come.set()
    assert learners.index(2) == 1
    assert learners.are_there()


def test_what_is_wrong_with_a_module_is_said_where_it_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "good_and_slow.py").write_text("import time\ntime.sleep(0.2)\nx = 1\n")
    (tmp_path / "broken_one.py").write_text("raise ImportError('broken')\n")
    monkeypatch.syspath_prepend(tmp_path)
    thread = import_in_background("good_and_slow", "broken_one")
    import good_and_slow  # type: ignore[import-not-found]

    assert good_and_slow.x == 1
    thread.join()
    with pytest.raises(ImportError, match="broken"):
        import broken_one  # type: ignore[import-not-found]  # noqa: F401


REPEATABLE = (
    "from sequence_tutor.policies.kernels.device import choose_repeatable_kernels as f; f()"
)
BY_TORCH = "torch.use_deterministic_algorithms(True)"


@pytest.mark.parametrize(("call", "loads"), [(REPEATABLE, False), (BY_TORCH, True)])
def test_repeatable_kernels_need_no_compiler(call: str, loads: bool):
    import torch

    if torch.version.cuda is not None:
        pytest.skip("with CUDA the kernels are chosen otherwise")
    code = (
        f"import sys, torch; {call}; "
        "print(torch.are_deterministic_algorithms_enabled(), 'torch._inductor' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["True", str(loads)], done.stderr
