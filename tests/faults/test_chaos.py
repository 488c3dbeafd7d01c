"""A small run of the chaos benchmark, which counts lost and repeated scores in a file of its own.

It runs in processes of its own, with a Ray cluster of several nodes where nodes are to be killed.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

CHAOS = Path(__file__).resolve().parents[2] / "benchmarks" / "chaos.py"
DEADLINE_S = 400.0


def chaos(part: str, out: Path, *arguments: object) -> str:
    """The tables that it prints; fails if it reports a loss."""
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    # the directory of `sequence-tutor`
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


def faults() -> ModuleType:
    """The module that assigns faults to molecules."""
    path = CHAOS.with_name("chaos_rewards.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.nightly
def test_every_fault_of_a_reward_fails_only_its_sequences(molecules: list[str], tmp_path: Path):
    chosen, wanted = faults(), Counter({None: 60})
    wanted.update({fault: 2 for fault in chosen.FAULTS})
    lines = []
    for molecule in molecules:
        fault = chosen.fault_of(molecule)
        if wanted[fault] > 0:
            wanted[fault] -= 1
            lines.append(molecule)
    assert not wanted.total()
    file = tmp_path / "molecules.smi"
    file.write_text("\n".join(lines))
    arguments = ("--molecules", file, "--rows", len(lines), "--no-baseline")
    # a busy machine takes seconds for the good ones too
    arguments += ("--timeout", 5)
    text = chaos("rewards", tmp_path / "out", *arguments)
    assert "\n| good | 60 |" in text, text
    for fault in chosen.FAULTS:
        assert f"\n| {fault} | 2 |" in text, text
    assert "NO" not in text


@pytest.mark.parametrize(
    "search",
    [pytest.param((), marks=pytest.mark.nightly), ("--search",)],
    ids=["policy", "search"],
)
def test_random_kills_lose_no_score(tiny_prior: Path, tmp_path: Path, search: tuple[str, ...]):
    """With `--search` a proposer and a screen are killed too."""
    arguments = ("--budget", 300, "--kills", 6, "--every", 1, "--seed", 3, "--prior", tiny_prior)
    text = chaos("kills", tmp_path, *arguments, *search)
    assert "| **scored again after they were on record** | 0 |" in text
    assert "\n300 of 300 scores" in text
