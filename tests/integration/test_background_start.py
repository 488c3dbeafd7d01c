"""The start of a run: processes import little, and don't wait for parts they don't need."""

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
# Modules that take a second or more to load.
HEAVY = ("torch", "ray.rllib", "ray.tune", "torch._dynamo")


def heavy_modules(process: ray.actor.ActorHandle) -> set[str]:
    def loaded(_: Any) -> list[str]:
        return list(sys.modules)

    return set(HEAVY) & set(ray.get(process.__ray_call__.remote(loaded)))


@pytest.mark.nightly
def test_scoring_starts_before_the_learner_with_few_imports(
    build: Build,
    make_run: Callable[..., RunConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    may_start, really = threading.Event(), AlgorithmConfig.build_learner_group
    # ends the wait if scoring should depend on the learner
    alarm = threading.Timer(60.0, may_start.set)
    alarm.start()

    def wait_and_build(self: AlgorithmConfig, **options: Any) -> Any:
        may_start.wait()
        return really(self, **options)

    monkeypatch.setattr(AlgorithmConfig, "build_learner_group", wait_and_build)
    with build(make_run(mode="asynchronous", replay={"shards": 1}), tmp_path) as algorithm:
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
        # each has done its work
        for process in (algorithm.board, *algorithm.shards, *algorithm.scorers.fleet.processes):
            assert not heavy_modules(process)
        actors = algorithm.env_runner_group._worker_manager._actors.values()
        for actor in actors:  # control: an actor needs PyTorch and has it
            assert {"torch", "ray.rllib"} <= heavy_modules(actor)
            assert "torch._dynamo" not in heavy_modules(actor)


def test_the_error_of_a_learner_start_propagates():
    def fails() -> None:
        raise OSError("no such device")

    learners = PendingLearnerGroup(fails)
    with pytest.raises(OSError, match="no such device"):
        learners.update()
    with pytest.raises(OSError, match="no such device"):
        learners.are_there()
    learners.shutdown()  # doesn't raise again


def test_a_pending_learner_group_acts_as_the_started_one():
    may_build = threading.Event()

    def build() -> list[int]:
        may_build.wait(10.0)
        return [1, 2]

    learners = PendingLearnerGroup(build)
    assert not learners.are_there()
    may_build.set()
    assert learners.index(2) == 1
    assert learners.are_there()


def test_a_broken_background_import_raises_at_its_import(
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
