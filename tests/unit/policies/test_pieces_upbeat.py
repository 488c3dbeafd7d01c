from __future__ import annotations

import numpy as np
import pytest

from sequence_tutor.policies.melody_time import Time
from sequence_tutor.policies.pieces.melody import melody_of
from sequence_tutor.policies.pieces.piece import Note, Part, Piece, Section
from sequence_tutor.policies.pieces.upbeat import EDGES, Tables, classes, tables, with_upbeat


def piece(first: float, phrases: int = 8, upbeat: float = 0.0, **options) -> Piece:
    """Phrases of two bars of 4/4 from quarter `first` on; the upbeat is a quaver."""
    lengths = [2, *([4, 2, 2, 4, 2, 2] + [12, 2, 2]) * phrases][:-2]
    starts = first + np.cumsum([0, *lengths[:-1]]) / 4
    notes = [
        Note(60 + i % 5, float(start), float(start) + length / 4)
        for i, (start, length) in enumerate(zip(starts, lengths, strict=True))
    ]
    end = notes[-1].end
    return Piece((Part("", tuple(notes)),), (Section(4, 4, 0.0, end, upbeat),), **options)


def test_an_upbeat_that_the_file_does_not_tell():
    found = with_upbeat(piece(0), piece(0).parts[0].notes)
    assert [(s.start, s.upbeat) for s in found] == [(0, 0.5)]
    melody = melody_of(piece(0), Time(), transpose=False, upbeat=True)
    assert melody.upbeat_estimated
    assert np.flatnonzero(melody.segments[0])[0] == 14  # the quaver before the first bar line
    plain = melody_of(piece(0), Time(), transpose=False)
    assert not plain.upbeat_estimated and plain.segments[0][0] > 1


def test_bar_lines_that_are_told_stay():
    for told in (piece(3.5), piece(0, notated=True), piece(0, upbeat=1.0)):
        assert with_upbeat(told, told.parts[0].notes) == told.sections
    three = piece(0)
    other = Piece(three.parts, (Section(5, 4, 0.0, three.end),))
    assert with_upbeat(other, three.parts[0].notes) == other.sections


def test_notes_on_each_beat_tell_no_upbeat():
    even = tuple(Note(60 + i % 7, float(i), i + 1.0) for i in range(8))
    plain = Piece((Part("", even),), (Section(4, 4, 0.0, 8.0),))
    assert with_upbeat(plain, even) == plain.sections


def test_likelihoods_are_sums_over_notes():
    random = np.random.default_rng(0)
    counts = {
        "times": random.integers(0, 9, (2 * len(EDGES), 12)),
        "first": random.integers(0, 9, 12),
        "last": random.integers(0, 9, 12),
    }
    table, onsets = Tables.of_counts(counts), np.array([0, 1, 3, 4, 10, 40])
    assert np.exp(table.times).sum(1) == pytest.approx(1)
    assert classes(onsets).tolist() == [0, 3, 0, 9, 15]
    for phase, found in enumerate(table.log_likelihoods(onsets)):
        slow = table.first[phase] + table.last[(40 + phase) % 12]
        for onset, kind in zip(onsets, classes(onsets), strict=False):
            slow += table.times[kind, (onset + phase) % 12]
        assert found == pytest.approx(slow)
    without = table.log_likelihoods(onsets, ends=False)
    assert without[0] == pytest.approx(table.log_likelihoods(onsets)[0] - table.last[4])


def test_the_shipped_tables():
    found = tables()
    assert {metre: len(table.first) for metre, table in found.items()} == {
        "4/4": 16,
        "3/4": 12,
        "6/8": 12,
        "2/4": 8,
    }
