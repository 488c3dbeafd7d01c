"""A run with `--retries` continues by itself after its learner died."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from records import read_record
from rich.console import Console

from sequence_tutor.distributed.commands import retries as retrying
from sequence_tutor.distributed.commands.optimize import Options
from sequence_tutor.distributed.commands.retries import optimize_with_retries
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.ray_cluster.join import ResourceError
from sequence_tutor.distributed.stop_signal import BrokenRewardError, RunError, StoppedError

BUDGET, DEADLINE_S = 200, 120.0


def title(pid: int) -> str:
    """The command line of a process; Ray puts an actor's class there."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:  # the process has ended
        return ""


def descendants() -> list[int]:
    """Ids of all processes that descend from this one."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {os.getpid()})


def kill_the_learner_of(out: Path) -> None:
    """Kill the learner once the run has written two lines of metrics."""
    deadline, metrics = time.monotonic() + DEADLINE_S, out / "metrics.jsonl"
    while not (metrics.is_file() and metrics.read_text().count("\n") >= 2):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # the class of RLlib's learners
    learner = next(pid for pid in descendants() if "_WrappedExecutable" in title(pid))
    os.kill(learner, signal.SIGKILL)


@pytest.mark.nightly
def test_a_run_with_a_dead_learner_is_retried(
    local_ray: None,
    make_run: Callable[..., RunConfig],
    quiet: Console,
    tmp_path: Path,
):
    run = make_run(stop={"scores": BUDGET}, replay={"shards": 1})
    killer = threading.Thread(target=kill_the_learner_of, args=[tmp_path / "out"])
    killer.start()
    try:
        optimize_with_retries(run, tmp_path / "out", quiet, retries=1, pause_s=0.1)
    finally:
        killer.join()
    said = quiet.file.getvalue()  # type: ignore[attr-defined]
    assert "go on with --resume" in said and "(retry 1 of 1)" in said
    record = read_record(tmp_path / "out" / "scores")
    assert record is not None and len(set(record.keys)) == len(record) >= BUDGET


def test_a_mistake_of_the_user_is_not_retried(
    local_ray: None, make_run: Callable[..., RunConfig], quiet: Console, tmp_path: Path
):
    with pytest.raises(ResourceError):
        optimize_with_retries(make_run(actors={"count": 40}), tmp_path / "a", quiet, retries=3)
    with pytest.raises(ValueError, match="holds no run"):
        optimize_with_retries(make_run(), tmp_path / "b", quiet, Options(resume=True), retries=3)
    assert quiet.file.getvalue() == ""  # type: ignore[attr-defined]


def test_a_reward_that_never_worked_is_not_retried(
    make_run: Callable[..., RunConfig],
    quiet: Console,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    seen = []

    def optimize(*arguments: object) -> None:
        seen.append(arguments)
        raise BrokenRewardError("no licence")

    monkeypatch.setattr(retrying, "optimize", optimize)
    with pytest.raises(BrokenRewardError):
        optimize_with_retries(make_run(), tmp_path, quiet, retries=3, pause_s=0.0)
    assert len(seen) == 1


def test_a_cluster_that_shrank_is_retried_until_a_stop(
    make_run: Callable[..., RunConfig],
    quiet: Console,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    failures = [RunError("a node went"), ResourceError("too small"), StoppedError("enough")]
    seen = []

    def optimize(run: RunConfig, out: Path, console: Console, options: Options) -> None:
        seen.append((options.resume, options.warm_start))
        raise failures[len(seen) - 1]

    monkeypatch.setattr(retrying, "optimize", optimize)
    with pytest.raises(RunError, match="a node went"):  # without retries there is one attempt
        optimize_with_retries(make_run(), tmp_path, quiet, pause_s=0.0)
    seen.clear()
    with pytest.raises(StoppedError):  # ends the run although retries are left
        optimize_with_retries(
            make_run(), tmp_path, quiet, Options(warm_start=tmp_path), retries=9, pause_s=0.0
        )
    assert seen == [(False, tmp_path), (True, tmp_path), (True, tmp_path)]
