"""A synchronous run that is killed and resumed equals the uninterrupted run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import ray
from records import rows_on_record

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import to_toml
from sequence_tutor.distributed.run_directory import checkpoint
from sequence_tutor.distributed.types import Scored
from sequence_tutor.policies.prior import load_prior

DEADLINE_S = 180.0


def run_and_kill(config: Path, out: Path, ticks: int) -> None:
    """Start a run on this session's Ray and kill -9 its driver after `ticks` lines of metrics, when
    the record is ahead of the last checkpoint."""
    command = [
        sys.executable,
        "-m",
        "sequence_tutor.distributed.commands.cli",
        "optimize",
        str(config),
    ]
    environment = os.environ | {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    process = subprocess.Popen(
        [*command, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        deadline, metrics = time.monotonic() + DEADLINE_S, out / "metrics.jsonl"
        while not (metrics.is_file() and metrics.read_text().count("\n") >= ticks):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "no metrics yet"
            time.sleep(0.01)
        # while the driver is stopped the shards flush their rows
        os.kill(process.pid, signal.SIGSTOP)
        while len(rows(out)) <= sum(last_checkpoint(out).live_rows):
            assert time.monotonic() < deadline, "nothing more on record"
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=DEADLINE_S)
    finally:
        if process.poll() is None:
            process.kill()


def last_checkpoint(out: Path) -> checkpoint.Checkpoint:
    return checkpoint.read(checkpoint.complete(out / "checkpoints")[-1])


def weights(out: Path) -> dict[str, np.ndarray]:
    return {k: v.numpy() for k, v in load_prior(out).network.state_dict().items()}


def rows(out: Path) -> Scored:
    found = rows_on_record(out / "scores")
    return found.select(np.argsort(found.keys))


def test_a_killed_and_resumed_run_equals_the_uninterrupted(
    local_ray: None, command: Callable[..., Any], make_run: Callable[..., RunConfig], tmp_path: Path
):
    run = make_run(
        stop={"updates": 48, "scores": 10**6},
        checkpoint={"updates": 24},
        replay={"flush_s": 0.2},
    )
    config = tmp_path / "run.toml"
    config.write_text(to_toml(run))
    # test_synchronous has that a local run equals one on Ray
    assert command("optimize", config, "--out", tmp_path / "whole", "--local").code == 0
    out = tmp_path / "killed"
    run_and_kill(config, out, ticks=8)
    last, before = last_checkpoint(out), rows(out)
    # the record has paid rows that the checkpoint doesn't count
    assert len(before) > sum(last.live_rows) > 0
    assert command("optimize", config, "--out", out, "--resume").code == 0
    one, two = weights(tmp_path / "whole"), weights(out)
    assert all(np.array_equal(one[k], two[k]) for k in one)
    a, b = rows(tmp_path / "whole"), rows(out)
    assert a.keys == b.keys and np.array_equal(a.rewards, b.rewards, equal_nan=True)
    assert np.array_equal(a.versions, b.versions)
    kept = b.select([b.keys.index(key) for key in before.keys])
    assert np.array_equal(kept.scored_at, before.scored_at)  # not scored again
