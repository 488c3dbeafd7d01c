"""`sample` with a part of a melody that is kept: text and files, renderings, and mistakes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sequence_tutor.rewards.melodies.rendering import write_midi

TUNE = "C4---D4---E4---F4---" + "G4---E4---C4-------"


def test_samples_of_a_file_and_their_renderings(command: Callable[..., Any], tmp_path: Path):
    song = tmp_path / "song.mid"
    write_midi(TUNE, song)
    asked = ["sample", "lieder", "-n", 4, "--seed", 1, "--fill", song, "--bars", "2"]
    done = command(*asked)
    assert done.code == 0 and len(done.out.splitlines()) == 4
    assert all(line.startswith("C4---D4---E4---F4---") for line in done.out.splitlines())
    rendered = command(*asked, "--render", tmp_path / "out")
    assert rendered.code == 0 and len(list((tmp_path / "out").glob("*.mid"))) == 4
    for key in ("--rhythm", "--contour"):
        of_text = command("sample", "lieder", "-n", 4, "--seed", 1, key, TUNE)
        of_file = command("sample", "lieder", "-n", 4, "--seed", 1, key, song)
        assert of_text.code == 0 and of_text.out == of_file.out
        rhythms = {re.sub("[A-G]#?[345]", "X", line) for line in of_text.out.splitlines()}
        assert rhythms == {"X---" * 6 + "X-------"}
    three = command("sample", "lieder", "-n", 1, "--rhythm", "X---" * 12, "--max-length", 48)
    assert three.code == 0 and len(re.findall("[A-G]", three.out)) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["lieder", "--fill", "C4_"], "has 2 steps, and max_length is 32"),
        (["lieder", "--fill", TUNE], "fill has no gap"),
        (["lieder", "--fill", "C4_", "--start", "C4"], "give one of start and fill"),
        (["lieder", "--bars", "2"], "bars are those of fill"),
        (["lieder", "--fill", TUNE, "--bars", "3"], "the melody has bars 1 to 2"),
        (["lieder", "--fill", "C6_"], "notes are C3 to B5"),
        (["lieder", "--rhythm", "3/4:X--"], "the time of the prior is 4/4"),
        (["lieder", "--contour", "X" + "v" * 36, "--max-length", 37], "go below C3 or above B5"),
        (["lieder", "--contour", "none.mid"], "there is no file none.mid"),
        (["zinc250k", "--fill", "C_C"], "molecules have no fill; give scaffold, fragments or"),
    ],
)
def test_mistakes(command: Callable[..., Any], options: list[Any], message: str):
    command("sample", *options).refused(message)
