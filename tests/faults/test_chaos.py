"""The benchmark that breaks things, small: what is lost and what is paid twice is counted outside.

It runs in processes of its own, with a Ray cluster of several nodes where nodes are to be killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CHAOS = Path(__file__).resolve().parents[2] / "benchmarks" / "chaos.py"
DEADLINE_S = 400.0


def chaos(part: str, out: Path, *arguments: object) -> str:
    """The tables it prints; fails where it says that something was lost."""
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    # where `sequence-tutor` is
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, str(CHAOS), part, "--out", str(out), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-4000:]}"
    return done.stdout


def test_a_reward_that_does_everything_wrong(molecules: list[str], tmp_path: Path):
    file = tmp_path / "molecules.smi"
    file.write_text("\n".join(molecules[:500]))
    text = chaos("rewards", tmp_path / "out", "--molecules", file, "--rows", 400)
    for fault in ("good", "nan", "raise", "segfault", "exit", "memory", "sleep", "print"):
        assert f"\n| {fault} |" in text, text
    assert "NO" not in text


def test_random_kills_of_everything_but_the_learner(tmp_path: Path):
    arguments = ("--budget", 300, "--kills", 6, "--every", 1, "--seed", 3)
    text = chaos("kills", tmp_path, *arguments)
    assert "| **scored again after they were on record** | 0 |" in text
    assert "\n300 of 300 scores" in text
