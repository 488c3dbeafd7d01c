"""`sequence-tutor pretrain --from`: a prior goes on with a few sequences."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reinvent_files import reinvent_file

from sequence_tutor.policies.prior import load_prior

Command = Callable[..., Any]
SERIES = [f"C[Se]C(C){'C' * n}O" for n in range(12)] + [f"CC[Se]{'C' * n}N" for n in range(12)]


@pytest.fixture
def series(tmp_path: Path) -> Path:
    path = tmp_path / "series.smi"
    path.write_text("\n".join(SERIES))
    return path


def test_the_new_data_gets_likelier_and_the_old_is_reported(
    command: Command, tiny_prior: Path, molecules: list[str], series: Path, tmp_path: Path
):
    old = tmp_path / "old.smi"
    old.write_text("\n".join(molecules[:50]))
    out = tmp_path / "out"
    given = "--old-data", old, "--report-samples", 20, "--learning-rate", 0.01
    done = command("pretrain", "--from", tiny_prior, series, "--out", out, *given)
    assert done.code == 0, done
    assert "hasn't: [Se]" in done.out and "NLL, nats per sequence" in done.out
    card = json.loads((out / "prior.json").read_text())["card"]
    assert card["from"]["prior"] == str(tiny_prior)
    before, after = card["nll"]["before"], card["nll"]["after"]
    (new, seen) = before  # the held-out part of the new data, the old data
    assert new == "held-out part of series.smi (2)" and seen == "old data (50)"
    assert after[new] < before[new] - 5 and after[seen] > before[seen]
    assert before[seen] == pytest.approx(-load_prior(tiny_prior).log_prob(molecules[:50]).mean())
    assert card["training"]["hidden"] == 32 and card["training"]["epochs"] == 10
    assert any("[Se]" in s for s in load_prior(out).sample(50, seed=0))


def test_without_old_data_one_sentence_says_so(
    command: Command, tiny_prior: Path, series: Path, tmp_path: Path
):
    out = tmp_path / "out"
    short = "--epochs", 1, "--report-samples", 0
    done = command("pretrain", "--from", tiny_prior, series, "--out", out, *short)
    assert done.code == 0 and "it isn't known what it forgets" in done.out
    assert "old data (" not in done.out


def test_a_file_of_reinvents_is_trained_on(command: Command, tmp_path: Path):
    reinvent_file(tmp_path / "x.prior")
    data = tmp_path / "data.smi"
    data.write_text("\n".join(f"{'C' * n}[Se]C" for n in range(1, 9)))
    out = tmp_path / "out"
    given = "--epochs", 1, "--report-samples", 0
    done = command("pretrain", "--from", tmp_path / "x.prior", data, "--out", out, *given)
    assert done.code == 0, done
    assert load_prior(out).encoding.vocabulary.tokens[-1] == "[Se]"


def test_mistakes_are_one_sentence(
    command: Command, tiny_prior: Path, series: Path, tmp_path: Path
):
    start = "pretrain", "--from", tiny_prior, series, "--out", tmp_path / "out"
    command(*start, "--hidden", 64).refused("--hidden can't be chosen with --from")
    command(*start, "--encoding", "melody").refused("--encoding")
    command("pretrain", series, "--out", tmp_path / "out", "--old-data", series).refused(
        "--old-data needs --from"
    )
    command("pretrain", "--from", "none", series, "--out", tmp_path / "out").refused("'none'")
    command(*start, "--old-data", tmp_path / "no.smi").refused("no.smi")
    assert not (tmp_path / "out").exists()
