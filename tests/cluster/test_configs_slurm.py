"""slurm.sh with a pretend Slurm: `srun` runs its step here, `scontrol` knows two machines.

Ray is real and starts twice on this machine, as head and worker.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "cluster" / "slurm.sh"
PATIENCE_S = 300.0

FAKES = {
    # drop the options and become the step, so that the script can end it
    "srun": 'while [[ $1 == --* ]]; do shift; done\nexec "$@"\n',
    "scontrol": 'echo "$*" >>"$LOG"\n[[ $1 != show ]] || printf "one\\ntwo\\n"\n',
    "hostname": "echo 127.0.0.1\n",
    # a fake run: logs its arguments and runs until SIGTERM
    "sequence-tutor": (
        'echo "$* $RAY_AUTH_MODE" >>"$LOG"\n'
        "exec {python} - \"$@\" <<'END'\n"
        "import signal, sys, time, ray\n"
        "stop = []\n"
        "ray.init(log_to_driver=False, logging_level='ERROR')\n"
        "signal.signal(signal.SIGTERM, lambda *_: stop.append(1))\n"
        "deadline = time.monotonic() + 240\n"
        "while len(ray.nodes()) < 2 and time.monotonic() < deadline:\n"
        "    time.sleep(0.2)\n"
        "has = ray.cluster_resources()\n"
        "print('nodes', len(ray.nodes()), 'CPU', has['CPU'], 'steady', has['steady'], flush=True)\n"
        "while '--wait' in sys.argv and not stop:\n"
        "    time.sleep(0.1)\n"
        "END\n"
    ),
}


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a job of two machines."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name, text in FAKES.items():
        program = binaries / name
        program.write_text("#!/usr/bin/env bash\n" + text.replace("{python}", sys.executable))
        program.chmod(0o755)
    yield {
        **{k: v for k, v in os.environ.items() if not k.startswith("RAY_")},
        "PATH": os.pathsep.join([str(binaries), str(Path(sys.executable).parent), os.defpath]),
        "LOG": str(tmp_path / "log"),
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "[one-two]",
        "SLURM_CPUS_PER_TASK": "1",
    }
    while left := ours():  # processes of a failed test, or still ending
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.2)
    shutil.rmtree(f"/tmp/ray-{os.getpid()}", ignore_errors=True)


def start(slurm: dict[str, str], *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", str(SCRIPT), *map(str, arguments)],
        env=slurm,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ours() -> list[int]:
    """Ids of the jobs' processes: the scripts, and Ray by its directory."""
    marks = (str(SCRIPT), f"/tmp/ray-{os.getpid()}")
    lines = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout
    return [int(line.split()[0]) for line in lines.splitlines() if any(m in line for m in marks)]


def log(slurm: dict[str, str]) -> list[str]:
    return Path(slurm["LOG"]).read_text().splitlines()


@pytest.mark.nightly
def test_a_run_on_two_machines_stops_in_time_and_is_requeued(slurm: dict[str, str], tmp_path: Path):
    run = tmp_path / "runs" / "mine"
    job = start(slurm, "my.toml", run, "--wait")
    lines = []
    assert job.stdout
    for line in job.stdout:
        lines.append(line)
        if line.startswith("nodes"):
            break
    assert lines[-1] == "nodes 2 CPU 2.0 steady 1000.0\n", "".join(lines[-20:])
    (private,) = run.parent.glob(".ray-*")
    assert (private / "token").stat().st_mode & 0o077 == 0
    assert len((private / "token").read_text()) == 64
    # a client with another token or none is rejected
    address = f"127.0.0.1:{20000 + os.getpid() % 6000 * 2}"
    for mode, token in (("token", "0" * 64), ("disabled", "")):
        stranger = subprocess.run(
            ["ray", "health-check", "--address", address],
            env=slurm | {"RAY_AUTH_MODE": mode, "RAY_AUTH_TOKEN": token},
            capture_output=True,
        )
        assert stranger.returncode != 0
    job.send_signal(signal.SIGTERM)  # Slurm sends it three minutes before the time limit
    rest, _ = job.communicate(timeout=PATIENCE_S)
    assert job.returncode == 0, rest
    assert log(slurm)[-1] == f"requeue {os.getpid()}"
    assert f"optimize my.toml --out {run} --wait token" in log(slurm)
    assert list(run.parent.glob(".ray-*")) == []  # the token is gone
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and ours():
        time.sleep(0.2)
    assert ours() == []


@pytest.mark.nightly
def test_an_existing_run_is_resumed(slurm: dict[str, str], tmp_path: Path):
    run = tmp_path / "mine"
    run.mkdir()
    (run / "config.toml").touch()
    job = start(slurm, "my.toml", run, "--set", "stop.scores=5")
    output, _ = job.communicate(timeout=PATIENCE_S)
    assert job.returncode == 0, output[-2000:]
    assert f"optimize my.toml --out {run} --resume --set stop.scores=5 token" in log(slurm)
    assert not any(line.startswith("requeue") for line in log(slurm))


def test_without_arguments_it_prints_its_usage(slurm: dict[str, str]):
    job = start(slurm, "my.toml")
    output, _ = job.communicate(timeout=PATIENCE_S)
    assert job.returncode == 2 and output.startswith("usage: sbatch ")


def test_shellcheck_finds_nothing():
    shellcheck = Path(sys.executable).with_name("shellcheck")
    assert subprocess.run([shellcheck, SCRIPT]).returncode == 0


def test_control_shellcheck_finds_a_mistake(tmp_path: Path):
    script = tmp_path / "bad.sh"
    script.write_text("#!/bin/bash\nrm -r $1/*\n")
    shellcheck = Path(sys.executable).with_name("shellcheck")
    assert subprocess.run([shellcheck, script], capture_output=True).returncode == 1
