"""Searches in the local engine: melodies, a data file, and limits that end them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from local_runs import rounds, rows
from rich.console import Console

from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, parse_config, read_toml, to_toml
from sequence_tutor.distributed.local import LocalRun
from sequence_tutor.policies.encodings.melody import MelodyEncoding
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.melody_tokens import TOKENS
from sequence_tutor.policies.pretrain import Pretraining, PretrainSettings
from sequence_tutor.rewards.base import Status

LOCAL, STEPS = Options(local=True), 32
THEORY = {"aggregate": "sum", "component": [{"name": "music_theory", "profile": "corrected"}]}
SCREEN = {"batch": 16, "start": 32, "children": 12}


def melodies(n: int, steps: int = STEPS) -> list[str]:
    """Walks in quarters."""
    random, out = np.random.default_rng(0), []
    for _ in range(n):
        pitches = np.clip(20 + random.integers(-3, 4, steps // 4).cumsum(), 2, len(TOKENS) - 1)
        out.append("".join(TOKENS[int(pitch)] + "---" for pitch in pitches))
    return out


@pytest.fixture(scope="module")
def melody_prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("melodies")
    torch.set_num_threads(1)
    settings = PretrainSettings(
        cell="gru", embedding=8, hidden=16, layers=1, epochs=2, batch=32, warmup=5, dropout=0.0
    )
    training = Pretraining(MelodyEncoding.fit([]), melodies(120), settings, "cpu")
    training.run(directory, lambda _: None)
    return directory


@pytest.fixture
def melody_run(make_run: Callable[..., RunConfig], melody_prior: Path) -> Callable[..., RunConfig]:
    def make(**changes: Any) -> RunConfig:
        return make_run(encoding="melody", prior=str(melody_prior), reward=THEORY, **changes)

    return make


@pytest.mark.parametrize("same_object", [False, True], ids=["new", "same object"])
def test_a_search_of_melodies_resumes_bit_for_bit(
    melody_run: Callable[..., RunConfig], tmp_path: Path, same_object: bool
):
    run = melody_run(proposers={"genetic": {"batch": 24}}, screen=SCREEN)
    one = LocalRun(run, Location(tmp_path / "whole"))
    weights = rounds(one, 4)
    sources = one.last_metrics.sources
    one.stop()
    one = LocalRun(run, Location(tmp_path / "parts"))
    rounds(one, 2)
    saved = one.save_run_checkpoint()
    rounds(one, 3)
    if not same_object:
        one.stop()
        one = LocalRun(run, Location(tmp_path / "parts"))
    one.load_checkpoint(str(saved))
    again = rounds(one, 4)
    one.stop()
    assert all(np.array_equal(again[name], weights[name]) for name in weights)
    whole, parts = rows(tmp_path / "whole"), rows(tmp_path / "parts")
    assert whole.keys == parts.keys and whole.sources == parts.sources
    np.testing.assert_array_equal(whole.rewards, parts.rewards)
    assert Counter(whole.sources)["genetic"] and (whole.lengths == STEPS).all()
    assert sources["genetic"].screened_out > 0 and sources["policy"].screened_out > 0


def test_a_data_file_alone_is_searched(
    make_run: Callable[..., RunConfig], molecules: list[str], tmp_path: Path, quiet: Console
):
    """Without actors; the screen picks from it, and the run ends when nothing is left of it."""
    file = tmp_path / "library.smi"
    file.write_text("\n".join([*molecules[:120], "C1CC", molecules[0]]))
    run = make_run(
        actors={"count": 0},
        proposers={"data": {"file": str(file), "batch": 100}},
        screen={"batch": 16, "start": 30},
        stop={"scores": 500, "sequences": 6000},
        replay={"ratio": 0},
    )
    summary = optimize(run, tmp_path / "run", quiet, LOCAL)
    assert summary.reason.startswith("ended: stop.sequences")
    record = rows(tmp_path / "run")
    assert len(record) == 120 and set(record.sources) == {"data"}
    assert (record.status == Status.OK).all()
    counts = summary.metrics.sources["data"]
    assert (counts.scored, counts.top100) == (120, 100)


def test_a_run_that_proposes_nothing_ends(
    make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Console
):
    """Its file has one sequence, which is scored in the first round."""
    file = tmp_path / "one.smi"
    file.write_text("C\n")
    run = make_run(
        actors={"count": 0},
        proposers={"data": {"file": str(file)}},
        stop={"scores": 100, "sequences": 40},
    )
    summary = optimize(run, tmp_path / "run", quiet, LOCAL)
    assert summary.reason.startswith("ended: stop.sequences")
    assert summary.metrics.scores_used == 1


def test_genetic_without_anything_to_begin_with_is_refused(
    make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Console
):
    run = make_run(actors={"count": 0}, proposers={"genetic": {}}, stop={"updates": 5})
    with pytest.raises(ConfigError, match="no parents: nothing is on record yet, and actors.count"):
        optimize(run, tmp_path / "run", quiet, LOCAL)
    assert not (tmp_path / "run").exists()


def test_the_tables_of_a_search_survive_the_file(make_run: Callable[..., RunConfig]):
    run = make_run(
        proposers={"genetic": {"parents": 9}, "mine": {"options": {"a": [1, "b"]}}},
        screen={"explore": [0.5, 0.5]},
    )
    assert parse_config(read_toml(to_toml(run).encode(), "here")) == run
    assert make_run().screen is None and not make_run().searches
