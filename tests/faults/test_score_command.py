"""`sequence-tutor score`: it scores every line once, in order, also if stopped and resumed."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import ray

CONFIG = """
[reward]
timeout_s = 20
[[reward.component]]
name = "python"
function = "counted_rewards:counted"
[actors]
batch = 8
"""
DEADLINE_S = 180.0


@pytest.fixture
def job(plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory with a config; calls of the reward are lines of `counter`."""
    (tmp_path / "reward.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COUNTER", str(tmp_path / "counter"))
    monkeypatch.setenv("PYTHONPATH", str(plugins))
    return tmp_path


def calls(job: Path) -> Counter[str]:
    return Counter((job / "counter").read_text().split())


def in_own_process(job: Path, *arguments: str, address: str = "") -> subprocess.Popen[str]:
    """A command with a Ray of its own, or that joins the one at an address."""
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    if address:
        environment["RAY_ADDRESS"] = address
    return subprocess.Popen(
        [sys.executable, "-m", "sequence_tutor.distributed.commands.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=job,
        env=environment,
        start_new_session=True,
    )


def test_a_resumed_command_scores_each_line_once_in_order(
    local_ray: None, job: Path, molecules: list[str]
):
    lines = [*molecules[:400], "", "C(", "OCC", "CCO", "NNC", *molecules[:20], "CCO name"]
    (job / "all.smi").write_text("".join(f"{line}\n" for line in lines))
    command = ["score", "reward.toml", "all.smi", "--out", "out.csv"]
    process = in_own_process(job, *command)
    try:
        deadline = time.monotonic() + DEADLINE_S
        while not list((job / "out.parts").glob("lines-*.parquet")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        text, _ = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    assert process.returncode == 0 and "go on with --resume" in text, text
    before = sum(calls(job).values())
    assert 0 < before < 400 and not (job / "out.csv").exists()

    address = ray.get_runtime_context().gcs_address
    process = in_own_process(job, *command, "--resume", address=address)
    text, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, text
    table = pq.read_table(job / "out.parquet").to_pylist()
    assert [row["sequence"] for row in table] == [line.split(" ")[0] for line in lines]
    assert {key: n for key, n in calls(job).items() if n != 1} == {}
    at = {line: row for line, row in zip(lines, table, strict=True)}
    assert at["OCC"]["key"] == at["CCO"]["key"] == "CCO"
    assert at["OCC"]["reward"] == at["CCO"]["reward"] == at["CCO name"]["reward"] == 2.0
    assert at["OCC"]["raw.python"] == 2.0 and at["OCC"]["status"] == "ok"
    assert (at["C("]["status"], at["C("]["reward"], at["C("]["key"]) == ("invalid", None, "")
    assert at[""]["status"] == "invalid"
    assert at["NNC"]["status"] == "failed" and at["NNC"]["reward"] is None
    assert "two nitrogens" in at["NNC"]["error"]
    with (job / "out.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["sequence"] for row in rows] == [row["sequence"] for row in table]
    assert list(rows[0])[:6] == ["sequence", "key", "reward", "status", "error", "seconds"]
    assert not (job / "out.parts").exists()


def test_odd_lines_leave_other_lines_and_columns_intact(
    local_ray: None, outside: Any, job: Path, command: Callable[..., Any]
):
    text = "id\tligand\tReward\n1\tCCO x\t7\n\n2\tC\0N\t8\n3\t" + "C" * (1 << 20) + "\t9\n"
    latin = b"4\tCCN\xe9\t\xe9\n5\tCCCO\t10\n"
    (job / "ids.txt").write_bytes(text.encode() + latin)
    done = command("score", "reward.toml", "ids.txt", "--column", "ligand", "--out", "out")
    assert done.code == 0 and "2 ok, 3 invalid" in done.out, done
    rows = pq.read_table(job / "out.parquet").to_pylist()
    assert [row["id"] for row in rows] == list("12345")
    assert [row["input.Reward"] for row in rows] == ["7", "8", "9", "\u00e9", "10"]
    statuses = [row["status"] for row in rows]
    assert statuses == ["ok", "invalid", "invalid", "invalid", "ok"]
    assert [row["sequence"] for row in rows if row["status"] == "ok"] == ["CCO", "CCCO"]
    assert len(rows[2]["sequence"]) < 20_010 and "longer than" in rows[2]["error"]
    assert sorted(outside.calls()) == ["CCCO", "CCO"]
    with (job / "out.csv").open(newline="") as stream:
        assert [row["id"] for row in csv.DictReader(stream)] == list("12345")


def test_bad_input_is_one_sentence(job: Path, command: Callable[..., Any]):
    (job / "all.csv").write_text("smiles,x\nCCO,1\n")
    command("score", "reward.toml", "none.smi").refused("none.smi")
    command("score", "reward.toml", "all.csv", "--column", "y").refused(
        "no column 'y'", "smiles, x"
    )
    (job / "ids.txt").write_text("id\tSMILES\nC\tCCO\n")
    command("score", "reward.toml", "ids.txt").refused("ids.txt", "--column 'SMILES'")
    (job / "ids.txt").unlink()
    (job / "all.csv").write_text('smiles,x\nCCO,1\nCCN,"amine\nCCC,3\n')
    command("score", "reward.toml", "all.csv").refused("all.csv", "line 3")
    (job / "all.csv").write_text("smiles,x\nCCO,1\n")
    command("score", "reward.toml", "all.csv", "--out", "x.txt").refused("x.txt", ".csv")
    command("score", "reward.toml", "all.csv", "--resume").refused("nothing to resume")
    (job / "out.csv").write_text("mine")
    command("score", "reward.toml", "all.csv", "--out", "out.csv").refused("out.csv exists already")
    (job / "wrong.toml").write_text(CONFIG.replace("counted_rewards", "no_such_module"))
    command("score", "wrong.toml", "all.csv").refused("no_such_module")
    assert sorted(p.name for p in job.iterdir() if p.name != "counter") == [
        *("all.csv", "out.csv", "reward.toml", "wrong.toml"),
    ]
