"""The data of pretraining: a molecule is on one side of the validation split only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sequence_tutor.policies.prior import load_prior
from sequence_tutor.rewards.domains import domain_of

Command = Callable[..., Any]
SMALL = ("--hidden", 8, "--layers", 1, "--embedding", 4, "--epochs", 1, "--include-data")
# three spellings each
SPELLINGS = [
    [f"{'C' * n}O", f"O{'C' * n}", f"C({'C' * (n - 1)})O" if n > 1 else "[CH3]O"]
    for n in range(1, 13)
]
key = domain_of("smiles").key


def pretrain(command: Command, tmp_path: Path, lines: list[str], *arguments: object) -> Any:
    data = tmp_path / "data.smi"
    data.write_text("".join(f"{line}\n" for line in lines))
    return command("pretrain", data, "--out", tmp_path / "prior", *SMALL, *arguments)


def sides(tmp_path: Path) -> tuple[list[str], list[str]]:
    data = load_prior(tmp_path / "prior").data
    assert data is not None
    return data.training, data.held_out


def test_spellings_of_a_molecule_are_on_one_side(command: Command, tmp_path: Path):
    lines = [line for row in zip(*SPELLINGS, strict=True) for line in row]
    done = pretrain(command, tmp_path, lines, "--validation", 0.4, "--report-samples", 0)
    assert done.code == 0, done
    training, held_out = sides(tmp_path)
    assert sorted(training + held_out) == sorted(lines)
    assert len(held_out) == 15  # five molecules of twelve, three spellings each
    assert not {key(s) for s in training} & {key(s) for s in held_out}
    assert "24 of the sequences spelled otherwise than an earlier one" in done.out
    assert "┃" not in done.out  # --report-samples 0: no table


def test_a_repeated_text_counts_once(command: Command, tmp_path: Path):
    done = pretrain(command, tmp_path, ["CCO", "CCN", "CCO", "CCC", "CCO"])
    assert done.code == 0, done
    assert sorted(sum(sides(tmp_path), [])) == ["CCC", "CCN", "CCO"]
    assert "2 of the sequences left out: the same text as an earlier one" in done.out


def test_control_distinct_molecules_give_no_remark(command: Command, tmp_path: Path):
    done = pretrain(command, tmp_path, ["CCO", "CCN", "CCC"])
    assert done.code == 0 and "of the sequences" not in done.out


def test_validation_data_does_not_train(command: Command, tmp_path: Path):
    validation = tmp_path / "validation.smi"
    validation.write_text("OCC\nCCN\nCCN\n")
    given = "--validation-data", validation
    done = pretrain(command, tmp_path, ["CCO", "CCC", "CCN", "CCCC"], *given)
    assert done.code == 0, done
    assert sides(tmp_path) == (["CCC", "CCCC"], ["OCC", "CCN"])
    assert "2 of the sequences left out: in the data to validate with" in done.out


def test_too_little_data_names_validation_data(command: Command, tmp_path: Path):
    for lines in (["CCO"], ["CCO", "OCC", "C(C)O"]):
        pretrain(command, tmp_path, lines).refused("--validation-data")
    validation = tmp_path / "validation.smi"
    validation.write_text("OCC\nCCC\n")
    done = pretrain(command, tmp_path, ["CCO", "CCC"], "--validation-data", validation)
    done.refused("has nothing that isn't in", "validation.smi")
