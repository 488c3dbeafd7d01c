"""A kind of sequence from another package: examples/peptides, installed in a folder of its own."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "peptides"
SMALL = ["--epochs", "2", "--hidden", "32", "--embedding", "16", "--layers", "1"]
SETTINGS = ("mode=synchronous", "actors.batch=16", "replay.min_rows=16", "replay.shards=1")
RUN = [word for setting in SETTINGS for word in ("--set", setting)]

Tutor = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tutor(tmp_path: Path) -> Tutor:
    """Runs the command in a folder where the package is installed."""
    shutil.copytree(EXAMPLE, tmp_path / "source")
    work, installed = tmp_path / "work", tmp_path / "installed"
    work.mkdir()
    for name in ("peptides.txt", "charged.toml"):
        shutil.copy(EXAMPLE / name, work)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", installed]
    subprocess.run([*pip, tmp_path / "source"], check=True, capture_output=True)
    environment = os.environ | {"PYTHONPATH": str(installed)}

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sequence_tutor.distributed.commands.cli"]
        return subprocess.run(
            [*command, *map(str, arguments)],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            timeout=280,
        )

    return run


@pytest.mark.nightly
def test_all_commands_take_an_encoding_of_another_package(tutor: Tutor, tmp_path: Path):
    def done(*arguments: object) -> str:
        completed = tutor(*arguments)
        assert completed.returncode == 0, completed.stderr
        return completed.stdout

    done("pretrain", "peptides.txt", "--encoding", "peptide", "--out", "peptide-prior", *SMALL)
    assert "600 ok" in done("score", "charged.toml", "peptides.txt", "--local")
    with (tmp_path / "work" / "peptides.scored.csv").open() as file:
        first = next(csv.DictReader(file))
    charge = sum(first["sequence"].count(a) for a in "KR")
    charge -= sum(first["sequence"].count(a) for a in "DE")
    assert float(first["raw.charge"]) == charge
    run = ["optimize", "charged.toml", "--out", "run", *RUN]
    assert "budget used: 40 scores" in done(*run, "--set", "stop.scores=40")  # on Ray
    more = done(*run, "--set", "stop.scores=60", "--resume", "--local")
    assert "budget used: 60 scores" in more and "run/best/sequences.txt" in more
    assert "tuned policy" in done("evaluate", "run", "-n", 30)
    assert len(done("sample", "run", "-n", 5).splitlines()) == 5


def test_a_broken_entry_point_is_one_sentence(tutor: Tutor, tmp_path: Path):
    (tmp_path / "installed" / "peptides.py").write_text("import not_there\n")
    completed = tutor("sample", "zinc250k", "-n", 1)
    assert completed.returncode == 2 and completed.stderr.count("\n") == 1
    assert "error: entry point 'peptide' of sequence_tutor.domains" in completed.stderr
    assert "No module named 'not_there'" in completed.stderr
