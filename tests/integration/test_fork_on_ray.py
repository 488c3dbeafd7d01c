"""A run on Ray that goes on from another one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.run_directory import checkpoint
from sequence_tutor.distributed.run_directory.fork import find_origin


def test_a_fork_makes_its_own_updates_and_resumes(
    local_ray: None, make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Console
):
    """Those of the run before don't count against stop.updates."""
    optimize(make_run(), tmp_path / "first", quiet, Options(local=True))
    stop = {"scores": None, "updates": 6}
    run = make_run(mode="asynchronous", stop=stop, learner={"temperature": 1.0})
    fork = find_origin(tmp_path / "first", None, run)
    assert fork.updates > 6
    options = Options(fork=fork)
    summary = optimize(run, tmp_path / "fork", quiet, options)
    assert summary.metrics.updates == fork.updates + 6
    kept = checkpoint.complete(tmp_path / "fork" / "checkpoints")
    assert int(kept[-1].name.split("-")[0]) == fork.updates + 6
    longer = make_run(mode="asynchronous", stop=stop | {"updates": 9}, learner={"temperature": 1.0})
    summary = optimize(longer, tmp_path / "fork", quiet, replace(options, fork=None, resume=True))
    assert summary.metrics.updates == fork.updates + 9
    first, last = fork.read().tensors, checkpoint.read(kept[-1]).tensors
    name = "model.online.network.head.weight"
    assert not np.array_equal(first[name], last[name])
