"""The component `process`, with real programs, in this process."""

from __future__ import annotations

import gc
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sequence_tutor.rewards.base import Scores, Status
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.external.dividing import BatchComplaint, divided
from sequence_tutor.rewards.place import Place

PROGRAMS = Path(__file__).parents[2] / "plugins" / "programs"
BY_LINE = [sys.executable, str(PROGRAMS / "by_line.py")]
BY_BATCH = [sys.executable, str(PROGRAMS / "by_batch.py")]


def reward(domain: str = "molecules", place: Place | None = None, **options: Any) -> Any:
    part = {"name": "process", **options}
    return build_reward(RewardConfig.model_validate({"component": [part]}), domain, place)


def scored(sequences: list[str], **options: Any) -> Scores:
    return reward(**options).score(sequences)  # type: ignore[no-any-return]


def test_each_failure_is_that_of_its_sequence(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    said = {
        "F": "process: answered null: no parameters for fluorine",
        "Cl": "process: exited with code 7: fatal: no memory",
        "Br": "process: bromine is too heavy",
        "I": "process: answered 'Loading model ...', which is no JSON",
        "P": "process: answered with more than one line",
        "S": "process: answered nan",
    }
    sequences = ["C", "F", "CC", "Cl", "CCC", "Br", "I", "CCCC", "P", "C", "S", "CC"]
    scores = scored(sequences, command=[*BY_LINE, str(notes)])
    for sequence, value, error in zip(sequences, scores.rewards, scores.errors, strict=True):
        assert error.startswith(said.get(sequence, "")) and bool(error) == (sequence in said), error
        assert np.isnan(value) if error else value == len(sequence)
    lines = notes.read_text().splitlines()
    # one start at first, and one after each program that ended or can't be trusted any more; only
    # the sequence that ended a program which had answered others was given once more
    assert sum(line.startswith("start") for line in lines) == 5
    assert [line for line in lines if not line.startswith("start")] == [
        "C", "F", "CC", "Cl", "Cl", "CCC", "Br", "I", "CCCC", "P", "C", "S", "CC",
    ]  # fmt: skip


def test_what_earlier_sequences_caused_is_no_failure() -> None:
    """A program that fails for N only after others, as one does that leaks."""
    scores = scored(["C", "CC", "N", "CCC"], command=BY_LINE)
    assert scores.rewards.tolist() == [1, 2, 1, 3] and scores.errors == [""] * 4


def test_a_program_that_closes_its_output_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sequence_tutor.rewards.external.program.EXIT_S", 0.2)
    scores = scored(["[K]", "C"], command=BY_LINE)
    assert "closed its output and went on" in scores.errors[0] and scores.rewards[1] == 1


def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    """The program answers with the length of its last argument, and writes it to a file."""
    code = (
        "import sys; open('argument', 'w').write(sys.argv[1])\n"
        "for line in sys.stdin: print(len(sys.argv[1]), flush=True)"
    )
    argument = "a; touch hurt $(touch hurt) `touch hurt` > hurt * 'x\" $HOME"
    scores = scored(
        ["C"], command=[sys.executable, "-c", code, argument], place=Place((str(tmp_path),))
    )
    assert scores.rewards[0] == len(argument)
    assert (tmp_path / "argument").read_text() == argument
    assert [path.name for path in tmp_path.iterdir()] == ["argument"]


def test_property_directory_and_environment(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    code = (
        "import json, os, sys\n"
        "for line in sys.stdin:\n"
        "    print(json.dumps({'x': float(os.environ['X']), 'y': len(os.getcwd())}))"
    )
    found = [
        scored(
            ["C"],
            command=[sys.executable, "-c", code],
            property=name,
            directory="data",
            environment={"X": "0.25"},
            place=Place(("no such directory", str(tmp_path))),
        )
        for name in ("x", "y", "z", None)
    ]
    assert found[0].rewards[0] == 0.25 and found[1].rewards[0] == len(str(tmp_path / "data"))
    assert found[2].errors == ["process: answered without 'z'; it has 'x', 'y'"]
    assert "give `property`, one of its keys" in found[3].errors[0]


def test_a_program_for_melodies_and_its_end(tmp_path: Path) -> None:
    """It ends with the reward, when its standard input closes."""
    notes = tmp_path / "notes"
    made = reward("melodies", command=[*BY_LINE, str(notes)])
    from sequence_tutor.rewards.domains import domain_named

    example = domain_named("melodies").example
    assert made.score([example]).errors == [""]
    pid = int(notes.read_text().split()[1])
    os.kill(pid, 0)
    del made
    gc.collect()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("form", ["list", "numbers", "object", "objects", "reinvent4", "csv"])
def test_forms_of_a_batch(form: str) -> None:
    name = None if form in ("list", "numbers") else "length"
    scores = scored(["C", "F", "CCC"], command=[*BY_BATCH, form], protocol="batch", property=name)
    assert scores.rewards[[0, 2]].tolist() == [1, 3]
    assert scores.errors == ["", "process: answered null", ""]


@pytest.mark.parametrize(
    ("form", "name", "words"),
    [
        ("object", None, "it has 'other', 'length'; give `property`"),
        ("object", "size", "answered without 'size'"),
        ("csv", None, "wrote the columns smiles, length; give `property`"),
        ("csv", "size", "wrote no column 'size'"),
        ("no header", None, "neither JSON nor CSV with a header"),
        ("nothing", None, "wrote nothing to its standard output"),
    ],
)
def test_an_answer_that_does_not_fit_is_one_sentence(
    form: str, name: str | None, words: str
) -> None:
    scores = scored(["C", "CC"], command=[*BY_BATCH, form], protocol="batch", property=name)
    assert all(words in error for error in scores.errors), scores.errors


@pytest.mark.parametrize(
    ("sequence", "words"),
    [
        ("Cl", "exited with code 3: chlorine isn't parametrised"),
        ("Br", "answered 0 values for 1 sequences"),
    ],
)
def test_a_batch_loses_only_what_it_must(tmp_path: Path, sequence: str, words: str) -> None:
    notes = tmp_path / "notes"
    sequences = ["C" * n for n in range(1, 17)]
    sequences[5] = sequence
    command = [*BY_BATCH, "list", str(notes)]
    scores = scored(sequences, command=command, protocol="batch")
    assert [n for n, status in enumerate(scores.status) if status] == [5]
    assert words in scores.errors[5]
    assert len(notes.read_text().split()) == 9  # 1 + 2 log2(16)


def test_a_program_that_always_fails_is_not_run_for_each_sequence() -> None:
    runs: list[int] = []

    def call(texts: Any) -> Any:
        runs.append(len(texts))
        raise BatchComplaint("no licence")

    values = divided(call, ["C"] * 1024)
    assert len(runs) == 41 and {str(value) for value in values} == {"no licence"}


def test_a_sequence_of_several_lines_is_not_sent(tmp_path: Path) -> None:
    """No domain of ours has one; another package's may."""
    from sequence_tutor.rewards.external.process import process

    notes = tmp_path / "notes"
    judge = process(Place(), command=[*BY_BATCH, "list", str(notes)], protocol="batch")
    values = judge.call(["C", "C\nC", "CC"])
    assert values[0] == 1 and values[2] == 2 and "several lines" in str(values[1])
    assert notes.read_text().split() == ["2"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"command": "dock --fast"}, 'command is a list, such as ["dock", "--fast"]'),
        ({"command": []}, "names no program"),
        ({"command": ["no-such-program"]}, "there is no program 'no-such-program' on the PATH"),
        ({"command": ["./none"]}, "there is no program './none' in "),
        ({"command": ["./plain.txt"]}, "'./plain.txt' can't be executed: set its permission"),
        ({"command": ["a\0b"]}, "null character"),
        ({"command": ["python3"], "protocol": "line"}, "'lines' or 'batch'"),
        ({"command": ["python3"], "directory": "none"}, "there is no directory 'none'"),
        ({"command": ["python3", 3]}, "should be a valid string"),
        ({"command": ["python3"], "propery": "x"}, "did you mean 'property'"),
        ({}, "needs the option 'command'"),
    ],
)
def test_bad_options_are_one_sentence(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("x")
    with pytest.raises(ValueError) as caught:
        reward(place=Place((str(tmp_path),)), **options)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_script_without_an_interpreter_says_so(tmp_path: Path) -> None:
    script = tmp_path / "score"
    script.write_text("echo 1\n")
    script.chmod(0o755)
    scores = scored(["C"], command=["./score"], place=Place((str(tmp_path),)))
    assert scores.status.tolist() == [Status.FAILED]
    assert "can't start './score': Exec format error" in scores.errors[0]
