"""Runs whose reward has no value for invalid sequences, and runs with few valid ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from records import read_record
from rich.console import Console

from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import to_toml
from sequence_tutor.distributed.local import LocalRun
from sequence_tutor.distributed.report.summary import print_summary
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.rewards.base import Status

SCALE = {"type": "scale", "factor": 1.0, "offset": -9}
LOGP = {"component": [{"name": "logp", "transform": SCALE}]}
ROUNDS = 4


def _rounds(run: LocalRun, until: int) -> None:
    while run.tally.rounds < until:
        run.train()
    run.drain()


def test_a_resumed_run_gives_invalid_sequences_the_same_worth(
    make_run: Callable[..., RunConfig], tmp_path: Path
):
    """Equals the uninterrupted run bit for bit, although the worth of invalid ones changes."""
    run, whole, parts = make_run(reward=LOGP), tmp_path / "whole", tmp_path / "parts"
    one = LocalRun(run, Location(whole))
    _rounds(one, ROUNDS)
    (_, weights), worth = one.newest_weights(), one.last_metrics.invalid_reward
    one.stop()
    one = LocalRun(run, Location(parts))
    _rounds(one, 2)
    checkpoint = one.save_run_checkpoint()
    earlier = one.last_metrics.invalid_reward
    _rounds(one, 3)  # on record, but after the checkpoint
    one.stop()
    one = LocalRun(run, Location(parts))
    one.load_checkpoint(str(checkpoint))
    _rounds(one, ROUNDS)
    _, again = one.newest_weights()
    assert one.last_metrics.invalid_reward == worth
    one.stop()
    assert all(np.array_equal(again[k], weights[k]) for k in weights)
    record = read_record(whole / "scores")
    invalid = record.status == Status.INVALID
    assert invalid.any() and np.isnan(record.rewards[invalid]).all()
    assert worth == record.rewards[record.status == Status.OK].min() < -5
    assert worth <= earlier


def test_a_run_short_of_valid_sequences_ends_at_stop_sequences(
    make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Console
):
    run = make_run(reward=LOGP | {"invalid": 0.0}, stop={"scores": 10_000, "sequences": 200})
    summary = optimize(run, tmp_path / "run", quiet, Options(local=True))
    print_summary(summary, tmp_path / "run", quiet)
    text = quiet.file.getvalue()  # type: ignore[attr-defined]
    made = summary.metrics.sequences
    assert 200 <= made <= 200 + run.actors.count * run.actors.batch
    assert f"ended: stop.sequences, {made} sequences generated: " in text
    assert "an invalid sequence is worth 0 (reward.invalid)" in text
    assert text.count("warning: an invalid sequence was worth 0, more than the worst valid") == 1
    assert summary.metrics.invalid_reward == 0.0


def test_an_invalid_line_of_a_file_has_no_reward(
    command: Callable[..., Any], make_run: Callable[..., RunConfig], tmp_path: Path
):
    config, file = tmp_path / "run.toml", tmp_path / "molecules.smi"
    config.write_text(to_toml(make_run(reward=LOGP)))
    file.write_text("CCO\nC1\n")
    result = tmp_path / "scored.csv"
    assert command("score", config, file, "--out", result, "--local").code == 0
    lines = result.read_text().splitlines()
    header, good, bad = (line.split(",") for line in lines)
    assert float(good[header.index("reward")]) < -5
    assert (bad[header.index("reward")], bad[header.index("status")]) == ("", "invalid")
