"""Where the bar lines are in files that don't tell their upbeat: a likelihood of positions in bars.

Many MIDI files begin with the first note, whatever bar it stands in. Long notes, those that end a
phrase above all, stand on strong beats. So the phase of the bar lines is the one that makes most
likely

    sum over notes of log P(position in the bar | class of the time to the next note, and whether
    that is longer than the one before) + log P(position of the first) + log P(position of the last)

with positions in sixteenths. The tables in `upbeat.json` are counts of tunes whose bar lines are
known; `benchmarks/upbeat.py` makes them and measures. The estimate is used where it beats bar lines
from the first note by `CLEAR` nats.

Share of tunes whose phase is right, the tables fitted on the other two of three collections (Ryan's
Mammoth Collection, O'Neill's 1850, Aird's Airs, traditional tunes in music21's corpus), and of the
Essen folk songs, which no table was ever fitted on. "none": the first note is on a bar line.

    metre  collection  tunes  none  estimate
    4/4    Ryan          108   .29       .83
           O'Neill        19   .16       .79
           Aird           82   .35       .89
           Essen         412   .17       .90
    3/4    Essen         326   .13       .76
    6/8    Ryan           57   .16       .98
           O'Neill       170   .25       .98
           Aird          166   .37       .99
           Essen         197   .11       .94
    2/4    Ryan          128   .19       .89
           Aird          128   .57       .96
           Essen         398   .34       .92

Other metres, and songs with an accompaniment, weren't measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Self

import numpy as np

from sequence_tutor.policies.melody_time import SAME_AS
from sequence_tutor.policies.pieces.piece import Note, Piece, Section

CLEAR = 5.0  # nats by which the estimate must beat bar lines from the first note
AT_ONCE = 0.02  # quarter notes within which a first note stands at the very beginning
STEPS = 4  # positions per quarter note
SMOOTHING = 0.5  # tunes' worth of counts that each position has beforehand
# Upper edges of the classes of times between notes, in sixteenths; the last has all longer ones.
EDGES = np.array([1, 2, 3, 4, 6, 8, 12, 16])


@dataclass(frozen=True)
class Tables:
    """Log-probabilities of positions in the bar of one metre, P of them."""

    times: np.ndarray
    """float64 [2 * len(EDGES), P] of a note, by the class of the time to the next note."""
    first: np.ndarray
    """float64 [P] of the first note."""
    last: np.ndarray
    """float64 [P] of the last note."""

    @classmethod
    def of_counts(cls, counts: Mapping[str, Any]) -> Self:
        """The tables of counts by their field's name."""
        smoothed = [np.array(counts[name]) + SMOOTHING for name in ("times", "first", "last")]
        return cls(*(np.log(c / c.sum(-1, keepdims=True)) for c in smoothed))

    def log_likelihoods(self, onsets: np.ndarray, ends: bool = True) -> np.ndarray:
        """float64 [P] for the first note at each position, of onsets int [N] in sixteenths from the
        first one; ends: whether the last one ends the piece."""
        phases = np.arange(len(self.first))
        positions = (onsets + phases[:, None]) % len(phases)
        total = self.times[classes(onsets), positions[:, :-1]].sum(1) + self.first
        likelihoods: np.ndarray = total + (self.last[positions[:, -1]] if ends else 0.0)
        return likelihoods


def classes(onsets: np.ndarray) -> np.ndarray:
    """int64 [N - 1] class of each note but the last: of the time to the next, and whether that is
    longer than the one before."""
    times = np.diff(onsets)
    longer = np.concatenate([[False], times[1:] > times[:-1]])
    edges = np.minimum(np.searchsorted(EDGES, times), len(EDGES) - 1)
    found: np.ndarray = 2 * edges + longer
    return found


@cache
def tables() -> dict[str, Tables]:
    """The shipped tables by metre."""
    text = (files("sequence_tutor.policies.pieces") / "upbeat.json").read_text("utf-8")
    return {metre: Tables.of_counts(counts) for metre, counts in json.loads(text).items()}


def with_upbeat(piece: Piece, line: Sequence[Note]) -> tuple[Section, ...]:
    """The sections of a piece; the bar lines of the first one are moved where its file doesn't tell
    the upbeat and the melody `line` does so clearly."""
    section, *others = piece.sections
    metre = f"{section.numerator}/{section.denominator}"
    table = tables().get(SAME_AS.get(metre, metre))
    untold = not piece.notated and not section.upbeat and _begins_at_once(piece)
    if table is None or not untold:
        return piece.sections
    steps = [round(STEPS * note.start) for note in line if note.start < section.end]
    onsets = np.unique(steps)
    if len(onsets) < 3:
        return piece.sections
    likelihoods = table.log_likelihoods(onsets - onsets[0], ends=not others)
    # phases of the first note of the line, which may begin after the piece
    phase = (int(likelihoods.argmax()) - int(onsets[0])) % len(likelihoods)
    if likelihoods.max() - likelihoods[int(onsets[0]) % len(likelihoods)] <= CLEAR or not phase:
        return piece.sections
    upbeat = (len(likelihoods) - phase) / STEPS
    return (replace(section, upbeat=upbeat), *others)


def _begins_at_once(piece: Piece) -> bool:
    return min(note.start for part in piece.parts for note in part.notes) <= AT_ONCE
