"""Learning from a warm start, without actors."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from records import read_record
from rich.console import Console

from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.policies.prior import load_prior


def measured(path: Path, molecules: list[str]) -> Path:
    """A CSV file with the number of oxygens as score; one line is not a molecule."""
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["compound", "SMILES", "score"])
        for i, smiles in enumerate([*molecules, "C(("]):
            rows.writerow([f"no {i}", smiles, smiles.count("O")])
    return path


def test_a_policy_learns_from_a_warm_start_without_actors(
    make_run: Callable[..., RunConfig],
    molecules: list[str],
    prior_weights: dict[str, np.ndarray],
    tmp_path: Path,
    quiet: Console,
):
    file, out = measured(tmp_path / "measured.csv", molecules[:300]), tmp_path / "run"
    run = make_run(
        actors={"count": 0},
        stop={"updates": 60, "scores": 10},
        learner={"temperature": 0.2, "learning_rate": 3e-3, "log_z": "batch"},
        replay={"sampling": "uniform"},
    )
    summary = optimize(run, out, quiet, Options(warm_start=file, local=True))
    text = quiet.file.getvalue()  # type: ignore[attr-defined]
    assert "300 of 300 sequences are new to the replay" in text and "C((" in text
    assert (summary.metrics.updates, summary.metrics.scores_used) == (60, 0)
    record = read_record(out / "scores")
    assert record is not None and len(record) == 300
    assert set(record.sources) == {"warm-start"} and set(record.versions) == {-1}
    policy, prior = load_prior(out), load_prior(run.prior)
    oxygens = [np.mean([s.count("O") for s in p.sample(300, seed=1)]) for p in (policy, prior)]
    assert oxygens[0] > oxygens[1] + 0.5, oxygens


def test_an_unusable_warm_start_is_one_sentence(
    make_run: Callable[..., RunConfig], command: Callable[..., Any], tmp_path: Path
):
    from sequence_tutor.distributed.config_file import to_toml

    config, file = tmp_path / "run.toml", tmp_path / "known.csv"
    config.write_text(to_toml(make_run()))
    start = ("optimize", config, "--out", tmp_path / "out", "--local", "--warm-start", file)
    command(*start).refused("known.csv")
    file.write_text("smiles\nCCO\n")
    command(*start).refused("known.csv", "reward", "sequence-tutor score")
    file.write_text("smiles,reward\nCCO,much\n")
    done = command(*start)  # with the lines that are wrong
    assert done.code == 2 and "known.csv" in done.err and "line 2" in done.err
    forever = ("--set", "actors.count=0")
    command("optimize", config, "--local", *forever).refused("actors.count = 0", "stop.updates")
    assert not (tmp_path / "out").exists()
