"""From notes in continuous time to melodies on the grid: pure functions, times in steps.

    all notes --skyline--> one voice --quantise--> grid --split--> segments --windows--> corpus

A token row made here is canonical: it has no note-off while nothing sounds. `notes_to_tokens` makes
exactly this row again from its notes and its length.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sequence_tutor.policies.melody_tokens import FIRST_NOTE, HIGH, LOW, OFF

BAR = 16  # steps of 4/4
CHORD = 0.25  # onsets at most this far apart are one chord: 31 ms at 120 quarter notes a minute
LEGATO = 1.0  # a note may sound this long into the next lower one
OFF_GRID = 0.02  # an onset at most this far from a step counts as on it: 2.4 of 480 ticks
SHORTEST = 0.25  # a shorter note is an ornament and vanishes


class Note(NamedTuple):
    """A note."""

    pitch: int
    """MIDI pitch, 0..127."""
    start: float
    """Onset in steps from the start of the piece."""
    end: float
    """End in steps, above `start`."""


@dataclass(frozen=True)
class Quantised:
    """One voice on the grid, and the number of notes that this changed.

    Starts increase, and each note ends at or before the next start.
    """

    notes: list[Note]
    """Notes on whole steps."""
    moved: int
    """Number of kept notes whose onset was off the grid."""
    collided: int
    """Number of notes dropped because another note was nearer to the same step."""
    vanished: int
    """Number of notes dropped as too short."""


def skyline(notes: Iterable[Note]) -> list[Note]:
    """Reduce notes to one voice: the highest note of each chord, cut where the next one starts.

    A note below one that goes on sounding is accompaniment and is dropped; a short overlap is
    legato playing and cuts the higher note.
    """
    line: list[Note] = []
    for note in sorted(notes, key=lambda n: (n.start, -n.pitch, n.end)):
        if line and note.start < line[-1].end:
            last = line[-1]
            if note.start - last.start <= CHORD:
                if note.pitch > last.pitch:
                    line[-1] = note
                continue
            if note.pitch < last.pitch and last.end - note.start > LEGATO:
                continue
            line[-1] = last._replace(end=note.start)
        line.append(note)
    return line


def quantise(line: Sequence[Note]) -> Quantised:
    """Move a skyline's onsets and ends to the nearest steps, each note at least one step long.

    Only onsets count as moved, since players and exporters usually shorten notes.
    """
    kept: list[tuple[Note, float]] = []  # the note on the grid, steps by which its onset moved
    collided = vanished = 0
    for pitch, start, end in line:
        step = math.ceil(start - 0.5)
        distance = abs(start - step)
        if end - start < SHORTEST:
            vanished += 1
            continue
        note = Note(pitch, step, max(math.ceil(end - 0.5), step + 1))
        if kept and kept[-1][0].start == step:
            collided += 1
            if distance < kept[-1][1]:
                kept[-1] = (note, distance)
            continue
        kept.append((note, distance))
    notes = [note for note, _ in kept]
    return Quantised(notes, sum(d > OFF_GRID for _, d in kept), collided, vanished)


def notes_to_tokens(notes: Sequence[Note], length: int) -> np.ndarray:
    """int16 [length] tokens of quantised notes within 0..length steps; the rest is holds.

    Raises ValueError for a pitch without a token.
    """
    tokens = np.zeros(length, dtype=np.int16)
    for pitch, start, end in notes:
        if not LOW <= pitch <= HIGH:
            raise ValueError(f"MIDI pitch {pitch} is outside {LOW}..{HIGH}")
        tokens[int(start)] = pitch - LOW + FIRST_NOTE
        if end < length:
            tokens[int(end)] = OFF  # a note that starts at this step overwrites it
    return tokens


def split(notes: Sequence[Note]) -> list[np.ndarray]:
    """Split at rests of a bar or more into segments, int16 [T] each, that start with a note-on.

    A segment has whole bars, counted from its start.
    """
    groups: list[list[Note]] = []
    for note in notes:
        if groups and note.start - groups[-1][-1].end < BAR:
            groups[-1].append(note)
        else:
            groups.append([note])
    segments = []
    for group in groups:
        first = int(group[0].start)
        bars = math.ceil((group[-1].end - first) / BAR)
        shifted = [Note(n.pitch, n.start - first, n.end - first) for n in group]
        segments.append(notes_to_tokens(shifted, bars * BAR))
    return segments


def windows(segment: np.ndarray, length: int, stride: int = BAR) -> list[np.ndarray]:
    """Windows, int16 [length] each, from every `stride`-th step, if a note starts there."""
    starts = range(0, len(segment) - length + 1, stride)
    return [segment[s : s + length] for s in starts if segment[s] >= FIRST_NOTE]
