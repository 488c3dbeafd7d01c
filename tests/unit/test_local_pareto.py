"""Runs with `aggregate = "pareto"` in the local engine."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_runs import rounds, rows
from rich.console import Console
from searching import SEARCHES_COMPONENTS

from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.local import LocalRun
from sequence_tutor.distributed.report.summary import print_summary
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.rewards.base import Status

SIZE = {"name": "heavy_atoms", "transform": {"type": "linear", "low": 0, "high": 30}}
REWARD = {"aggregate": "pareto", "component": [{"name": "qed"}, {"name": "csp3"}, SIZE]}


@pytest.fixture
def pareto(make_run: Callable[..., RunConfig]) -> Callable[..., RunConfig]:
    def make(**changes: Any) -> RunConfig:
        tables = {"reward": REWARD, "actors": {"batch": 48}, "stop": {"scores": 80}}
        return make_run(**(tables | changes))

    return make


def values_of(record: Any) -> np.ndarray:
    names = ("qed", "csp3", "heavy_atoms")
    return np.stack([record.transformed[name] for name in names], axis=1)


def test_a_run_shows_its_front(
    pareto: Callable[..., RunConfig], molecules: list[str], tmp_path: Path
):
    """A warm start has no components, so its molecules aren't learned from, and are in no front."""
    known = tmp_path / "known.csv"
    known.write_text("smiles,score\n" + "".join(f"{one},0.9\n" for one in molecules[:5]))
    out, text = tmp_path / "run", io.StringIO()
    options = Options(local=True, warm_start=known)
    console = Console(file=text, width=200)
    summary = optimize(pareto(), out, console, options)
    print_summary(summary, out, console)
    assert "aren't scored again, and aren't learned from" in text.getvalue()
    record = rows(out)
    own = np.array([source != "warm-start" for source in record.sources])
    assert not own.all()
    valid = record.select(np.flatnonzero((record.status == Status.OK) & own))
    values = values_of(valid)
    np.testing.assert_allclose(valid.rewards, values.mean(axis=1))
    best = [
        key
        for key, row in zip(valid.keys, values, strict=True)
        if not ((values >= row).all(1) & (values > row).any(1)).any()
    ]
    table = list(csv.DictReader((out / "pareto.csv").open()))
    assert sorted(row["key"] for row in table) == sorted(best) and 1 < len(best) < len(valid)
    firsts = [float(row["transformed.qed"]) for row in table]
    assert firsts == sorted(firsts, reverse=True)
    row = table[0]
    i = valid.keys.index(row["key"])
    assert float(row["raw.heavy_atoms"]) == valid.raw["heavy_atoms"][i]
    assert float(row["reward"]) == pytest.approx(valid.rewards[i], abs=1e-5)
    said = text.getvalue()
    assert f"the Pareto front: {min(20, len(best))} of {len(best)} rows" in said
    assert table[0]["sequence"][:60] in said and f"all of it is in {out / 'pareto.csv'}" in said


def test_a_resumed_run_equals_the_uninterrupted_one(
    pareto: Callable[..., RunConfig], tmp_path: Path
):
    """And differs from a run that learns the mean, which the first round doesn't."""
    changes = SEARCHES_COMPONENTS | {"stop": {"scores": 1000}}
    run = pareto(**changes)
    one = LocalRun(run, Location(tmp_path / "whole"))
    weights = rounds(one, 3)
    one.stop()
    one = LocalRun(run, Location(tmp_path / "parts"))
    rounds(one, 1)
    checkpoint = one.save_run_checkpoint()
    rounds(one, 2)  # the record is ahead of the checkpoint
    one.stop()
    one = LocalRun(run, Location(tmp_path / "parts"))
    one.load_checkpoint(str(checkpoint))
    resumed = rounds(one, 3)
    one.stop()
    assert all(np.array_equal(resumed[name], weights[name]) for name in weights)
    assert rows(tmp_path / "whole").keys == rows(tmp_path / "parts").keys
    mean = pareto(reward=REWARD | {"aggregate": "arithmetic_mean"}, **changes)
    one = LocalRun(mean, Location(tmp_path / "mean"))
    other = rounds(one, 1)
    one.stop()
    first = LocalRun(run, Location(tmp_path / "first"))
    ranked = rounds(first, 1)
    first.stop()
    assert rows(tmp_path / "mean").keys == rows(tmp_path / "first").keys
    assert any(not np.array_equal(other[name], ranked[name]) for name in ranked)


def test_a_run_without_a_front_has_no_file(
    make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Console
):
    summary = optimize(make_run(stop={"scores": 30}), tmp_path / "run", quiet, Options(local=True))
    assert summary.front is None and not (tmp_path / "run" / "pareto.csv").exists()
