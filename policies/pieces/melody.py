"""The melody of a piece in a given time: the part that has it, as one voice on the grid, in C."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sequence_tutor.policies.melody_time import SAME_AS, Time
from sequence_tutor.policies.melody_tokens import HIGH, LOW
from sequence_tutor.policies.pieces.key import octave_fit, pitch_classes, scale, shift_to_c
from sequence_tutor.policies.pieces.line import GridNote, quantise, skyline, split
from sequence_tutor.policies.pieces.piece import Note, Piece, Section
from sequence_tutor.policies.pieces.track import Choice, choose
from sequence_tutor.policies.pieces.upbeat import with_upbeat


@dataclass(frozen=True)
class Melody:
    """The melody of one piece, and the number of notes that reading it changed."""

    segments: tuple[np.ndarray, ...]
    """int16 [T] each: canonical tokens, whole bars from a bar line. None where the piece is in
    other metres."""
    choice: Choice
    """The part that has the melody, and why."""
    shift: int
    """Semitones by which the melody was moved."""
    notes: int
    """Number of notes in the melody before any was dropped."""
    moved: int
    """Number of notes moved to the nearest step."""
    collided: int
    """Number of notes dropped because another note took the same step."""
    vanished: int
    """Number of notes dropped as too short."""
    out_of_range: int
    """Number of notes dropped because no token has their pitch."""
    other_metres: tuple[str, ...]
    """Metres of the sections that were left out, each once."""
    upbeat_estimated: bool
    """Whether the bar lines were moved by an estimate of the upbeat."""


def melody_of(
    piece: Piece,
    time: Time,
    transpose: bool = True,
    track: str | None = None,
    whole: bool = False,
    upbeat: bool = False,
) -> Melody:
    """The melody, moved to C major or A minor, or only by octaves without `transpose`.

    Sections in other metres are left out, and a change of the metre cuts the melody. track: name or
    number of the part that has it; whole: no rest splits a section; upbeat: whether it is estimated
    where the file doesn't tell it. Raises ReadError where no part
    is called so.
    """
    choice = choose(piece.parts, track)
    line = skyline(choice.part.notes)
    everything = [note for part in piece.parts if not part.drums for note in part.notes]
    shift = shift_to_c(scale(pitch_classes(everything), piece.scale)) if transpose else 0
    shift += octave_fit(note.pitch + shift for note in line)
    line = [note._replace(pitch=note.pitch + shift) for note in line]
    sections = with_upbeat(piece, line) if upbeat else piece.sections
    inside, outside = _by_metre(sections, time)
    segments: list[np.ndarray] = []
    notes = moved = collided = vanished = out_of_range = 0
    for section in inside:
        own = notes_of(section, line, time.grid)
        quantised = quantise(own, time.grid, section.first_bar_line)
        kept: list[GridNote] = [n for n in quantised.notes if LOW <= n.pitch <= HIGH]
        segments += split(kept, time.bar, math.inf if whole else None)
        notes += len(own)
        moved += quantised.moved
        collided += quantised.collided
        vanished += quantised.vanished
        out_of_range += len(quantised.notes) - len(kept)
    return Melody(
        segments=tuple(segments),
        choice=choice,
        shift=shift,
        notes=notes,
        moved=moved,
        collided=collided,
        vanished=vanished,
        out_of_range=out_of_range,
        other_metres=outside,
        upbeat_estimated=sections != piece.sections,
    )


def notes_of(section: Section, line: Sequence[Note], grid: int) -> list[Note]:
    """The notes of a line that begin in a section, at most half a step before it; they end with
    it."""
    early = 0.5 / grid
    first, last = section.start - early, section.end - early
    return [
        note._replace(end=min(note.end, section.end)) for note in line if first <= note.start < last
    ]


def _by_metre(sections: Sequence[Section], time: Time) -> tuple[list[Section], tuple[str, ...]]:
    """The sections in the metre of `time`, and the metres of the others."""
    inside: list[Section] = []
    others: dict[str, None] = {}
    for section in sections:
        metre = f"{section.numerator}/{section.denominator}"
        if SAME_AS.get(metre, metre) == time.metre:
            inside.append(section)
        else:
            others[metre] = None
    return inside, tuple(others)
