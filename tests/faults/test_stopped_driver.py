"""Ctrl-C and SIGTERM end a run in order: its directory is complete and can be resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import ray
from records import read_record

from sequence_tutor.distributed.config_file import load_config
from sequence_tutor.distributed.run_directory import checkpoint
from sequence_tutor.distributed.run_directory.resume import check_directory
from sequence_tutor.policies.prior import load_prior

CONFIG = """
prior = "{prior}"
[[reward.component]]
name = "logp"
[learner]
threads = 1
batch = 16
[replay]
ratio = 2
shards = 1
"""
DEADLINE_S = 180.0


@pytest.mark.parametrize(
    ("send", "number", "joins"),
    # a terminal signals all processes, also Ray's; `kill` and `ray job stop` only the command
    [
        (os.killpg, signal.SIGINT, False),
        pytest.param(os.kill, signal.SIGTERM, True, marks=pytest.mark.nightly),
    ],
    ids=["ctrl-c on a Ray of its own", "sigterm on a cluster"],
)
def test_a_stopped_run_is_complete_and_resumable(
    local_ray: None,
    send: Callable[[int, int], None],
    number: signal.Signals,
    joins: bool,
    tiny_prior: Path,
    tmp_path: Path,
):
    config, out = tmp_path / "run.toml", tmp_path / "out"
    config.write_text(CONFIG.format(prior=tiny_prior))
    command = [sys.executable, "-m", "sequence_tutor.distributed.commands.cli", "optimize", config]
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    if joins:
        environment["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    process = subprocess.Popen(
        [*map(str, command), "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env=environment,
        start_new_session=True,  # as in a terminal, so that its Ray gets the signal as well
    )
    try:
        deadline = time.monotonic() + DEADLINE_S
        metrics = out / "metrics.jsonl"
        while not (metrics.is_file() and metrics.read_text().count("\n") >= 2):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "no metrics yet"
            time.sleep(0.1)
        send(process.pid, number)
        text, _ = process.communicate(timeout=DEADLINE_S)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 0, text
    assert "stopped on request" in text and "Traceback" not in text
    for name in ("config.toml", "metrics.jsonl", "tensorboard", "scores", "policy", "top.csv"):
        assert (out / name).exists(), name
    assert len(load_prior(out).sample(5, seed=0)) == 5
    record = read_record(out / "scores")
    assert record is not None and len(set(record.keys)) == len(record) > 0
    assert checkpoint.complete(out / "checkpoints")
    check_directory(load_config(config), out, resume=True)  # it can be resumed
