from __future__ import annotations

import numpy as np
import pytest

from sequence_tutor.policies.melody_tokens import TOKENS, tokenize
from sequence_tutor.policies.pieces.line import (
    GridNote,
    notes_to_tokens,
    quantise,
    skyline,
    split,
    windows,
)
from sequence_tutor.policies.pieces.piece import Note


def steps(*triples: tuple[int, float, float]) -> list[Note]:
    """Notes with times in steps of a sixteenth."""
    return [Note(pitch, start / 4, end / 4) for pitch, start, end in triples]


def notes(*triples: tuple[int, int, int]) -> list[GridNote]:
    return [GridNote(*triple) for triple in triples]


def text(tokens: np.ndarray) -> str:
    return "".join(TOKENS[token] for token in tokens)


def tokens(melody: str) -> np.ndarray:
    return np.array([TOKENS.index(token) for token in tokenize(melody)], dtype=np.int16)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # a chord, its onsets a little apart as hands play it
        ([(48, 0, 4), (55, 0.1, 4), (64, 0.2, 4)], [(64, 0.2, 4)]),
        # accompaniment under a note that sounds on
        ([(72, 0, 8), (48, 2, 4), (52, 4, 6), (74, 8, 12)], [(72, 0, 8), (74, 8, 12)]),
        # legato into a lower note
        ([(72, 0, 4.5), (70, 4, 8)], [(72, 0, 4), (70, 4, 8)]),
        # a higher note or the same note cuts the sounding one
        ([(60, 0, 8), (62, 2, 4)], [(60, 0, 2), (62, 2, 4)]),
        ([(60, 0, 8), (60, 2, 4)], [(60, 0, 2), (60, 2, 4)]),
        # a grace note is no chord with its main note
        ([(74, 3.8, 4), (72, 4, 8)], [(74, 3.8, 4), (72, 4, 8)]),
        ([], []),
    ],
)
def test_skyline_keeps_the_highest_notes(given, expected):
    assert skyline(steps(*given)) == steps(*expected)
    assert skyline(reversed(steps(*given))) == steps(*expected)


@pytest.mark.parametrize(
    ("given", "expected", "moved", "collided", "vanished"),
    [
        ([(60, 0, 4), (62, 4, 8)], [(60, 0, 4), (62, 4, 8)], 0, 0, 0),
        ([(60, 0.01, 3.9), (62, 4.3, 8)], [(60, 0, 4), (62, 4, 8)], 1, 0, 0),
        # an eighth-note triplet
        (
            [(60, 0, 4 / 3), (62, 4 / 3, 8 / 3), (64, 8 / 3, 4)],
            [(60, 0, 1), (62, 1, 3), (64, 3, 4)],
            2,
            0,
            0,
        ),
        # two thirty-seconds share a step: the one on the grid stays, whichever comes first
        ([(60, 0, 0.5), (62, 0.5, 1)], [(60, 0, 1)], 0, 1, 0),
        ([(60, 3.6, 4), (62, 4, 5)], [(62, 4, 5)], 0, 1, 0),
        # an ornament vanishes, a staccato note doesn't
        ([(62, 3.9, 4), (60, 4, 8)], [(60, 4, 8)], 0, 0, 1),
        ([(60, 0, 0.3), (62, 1, 2)], [(60, 0, 1), (62, 1, 2)], 0, 0, 0),
        # no note outlasts the next start
        ([(60, 0, 1.4), (62, 1.4, 2)], [(60, 0, 1), (62, 1, 2)], 1, 0, 0),
    ],
)
def test_quantise_moves_notes_to_the_grid(given, expected, moved, collided, vanished):
    found = quantise(steps(*given), 4)
    assert found.notes == notes(*expected)
    assert (found.moved, found.collided, found.vanished) == (moved, collided, vanished)
    assert all(isinstance(n.start, int) and isinstance(n.end, int) for n in found.notes)


def test_tokens_of_notes():
    row = notes_to_tokens(notes((60, 2, 4), (62, 4, 5), (83, 8, 12)), 12)
    assert row.dtype == np.int16 and text(row) == "--C4-D4.--B5---"
    assert text(notes_to_tokens(notes((48, 0, 2)), 3)) == "C3-."
    assert text(notes_to_tokens([], 3)) == "---"
    for pitch in (47, 84):
        with pytest.raises(ValueError, match=f"MIDI pitch {pitch}"):
            notes_to_tokens(notes((pitch, 0, 1)), 4)


def test_the_grid_counts_from_its_origin():
    triplet = [Note(60 + i, 1 + i / 3, 1 + (i + 1) / 3) for i in range(3)]
    for grid in (6, 12):
        found = quantise(triplet, grid, 1)
        assert [n.start for n in found.notes] == [i * grid // 3 for i in range(3)]
        assert found.moved == 0
    assert quantise(triplet, 4, 1).moved == 2
    assert [n.start for n in quantise(triplet, 12).notes] == [12, 16, 20]


def test_a_rest_of_a_bar_splits_the_line():
    line = notes((60, 5, 9), (62, 24, 25), (64, 41, 42))
    assert [text(s) for s in split(line, 16)] == [
        "-----C4---." + "-" * 14 + "D4." + "-" * 6,
        "-" * 9 + "E4." + "-" * 5,
    ]
    assert [text(s) for s in split(line, 12)] == [
        "-----C4---.--",
        "D4." + "-" * 10,
        "-----E4." + "-" * 5,
    ]
    assert split([], 16) == []
    assert [len(s) for s in split(notes((60, 0, 16)), 16)] == [16]


def test_windows_are_whole_and_begin_on_bar_lines():
    segment = tokens("C4---D4---E4---F4---G4-----A4--")  # 25 steps
    assert [text(w) for w in windows(segment, 8, 4, 4)] == [
        "C4---D4---",
        "D4---E4---",
        "E4---F4---",
        "F4---G4---",
        "G4-----A4-",
    ]
    # a note is held over the bar lines at steps 7 and 14
    assert [w[0] for w in windows(segment, 8, 7, 4)] == [segment[0]]
    assert len(windows(segment, 25, 25, 4)) == 1 and windows(segment, 26, 13, 4) == []
    assert len(windows(tokens("C4" + "-" * 15 + "C4" + "-" * 31), 32, 16, 4)) == 2


def test_a_window_may_begin_with_a_rest():
    segment = tokens("----C4---D4---.---C4-------D4-------")  # 32 steps
    assert [text(w)[:6] for w in windows(segment, 16, 8, 4)] == ["----C4", "D4---.", "C4----"]
    # no onset in the first bar, though it isn't held into
    late = tokens("C4-------.-------C4-------D4-------")
    assert [text(w)[:9] for w in windows(late, 16, 8, 4)] == ["C4-------", "C4-------"]


def test_windows_of_which_more_than_half_is_rests_are_left_out():
    row = "------C4-------"
    assert len(windows(tokens(row + "-" * 2), 16, 16, 4)) == 1
    assert len(windows(tokens("-" * 9 + "C4" + "-" * 6), 16, 16, 4)) == 0
    assert len(windows(tokens("C4-------.-------"), 16, 16, 4)) == 1
    assert len(windows(tokens("C4------.--------"), 16, 16, 4)) == 0
    # staccato notes leave short rests
    assert len(windows(tokens("C4.--" * 4), 16, 16, 4)) == 1
    assert len(windows(tokens("C4.--" * 4), 16, 16, 3)) == 0
