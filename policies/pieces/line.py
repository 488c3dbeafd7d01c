"""From the notes of a part to rows of tokens: pure functions.

    notes --skyline--> one voice --quantise--> grid --split--> segments --windows--> corpus

Times are quarter notes up to `quantise` and whole steps after it. A token row made here is
canonical: it has no note-off while nothing sounds. `notes_to_tokens` makes exactly this row again
from its notes and its length.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sequence_tutor.policies.melody_tokens import FIRST_NOTE, HIGH, HOLD, LOW, OFF
from sequence_tutor.policies.pieces.piece import Note

# In quarter notes:
CHORD = 1 / 16  # onsets at most this far apart are one chord: 31 ms at 120 quarter notes a minute
LEGATO = 1 / 4  # a note may sound this long into the next lower one
OFF_GRID = 0.005  # an onset at most this far from a step counts as on it: 2.4 of 480 ticks
SHORTEST = 1 / 16  # a shorter note is an ornament and vanishes


class GridNote(NamedTuple):
    """A note on the grid."""

    pitch: int
    """MIDI pitch, 0..127."""
    start: int
    """Onset in steps."""
    end: int
    """End in steps, above `start`."""


@dataclass(frozen=True)
class Quantised:
    """One voice on the grid, and the number of notes that this changed.

    Starts increase, and each note ends at or before the next start.
    """

    notes: list[GridNote]
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


def quantise(line: Sequence[Note], grid: int, origin: float = 0.0) -> Quantised:
    """Move a skyline's onsets and ends to the nearest steps, each note at least one step long.

    Step 0 is at quarter note `origin`, and `grid` steps are a quarter note. Only onsets count as
    moved, since players and exporters usually shorten notes.
    """
    kept: list[tuple[GridNote, float]] = []  # the note, steps by which its onset moved
    collided = vanished = 0
    for pitch, start, end in line:
        onset = (start - origin) * grid
        step = math.ceil(onset - 0.5)
        distance = abs(onset - step)
        if end - start < SHORTEST:
            vanished += 1
            continue
        note = GridNote(pitch, step, max(math.ceil((end - origin) * grid - 0.5), step + 1))
        if kept and kept[-1][0].start == step:
            collided += 1
            if distance < kept[-1][1]:
                kept[-1] = (note, distance)
            continue
        kept.append((note, distance))
    notes = [note for note, _ in kept]
    return Quantised(notes, sum(d > OFF_GRID * grid for _, d in kept), collided, vanished)


def notes_to_tokens(notes: Sequence[GridNote], length: int) -> np.ndarray:
    """int16 [length] tokens of notes within 0..length steps; the rest is holds.

    Raises ValueError for a pitch without a token.
    """
    tokens = np.zeros(length, dtype=np.int16)
    for pitch, start, end in notes:
        if not LOW <= pitch <= HIGH:
            raise ValueError(f"MIDI pitch {pitch} is outside {LOW}..{HIGH}")
        tokens[start] = pitch - LOW + FIRST_NOTE
        if end < length:
            tokens[end] = OFF  # a note that starts at this step overwrites it
    return tokens


def split(
    notes: Sequence[GridNote], bar: int, longest_rest: float | None = None
) -> list[np.ndarray]:
    """Split at rests of a bar or more into segments, int16 [T] each, of whole bars of `bar` steps.

    Bar lines are at the multiples of `bar`; a segment begins on the last one before its first note.
    longest_rest: steps from which a rest splits, where it isn't a bar.
    """
    groups: list[list[GridNote]] = []
    splits = bar if longest_rest is None else longest_rest
    for note in notes:
        if groups and note.start - groups[-1][-1].end < splits:
            groups[-1].append(note)
        else:
            groups.append([note])
    segments = []
    for group in groups:
        first = group[0].start // bar * bar
        bars = math.ceil((group[-1].end - first) / bar)
        shifted = [GridNote(n.pitch, n.start - first, n.end - first) for n in group]
        segments.append(notes_to_tokens(shifted, bars * bar))
    return segments


def windows(segment: np.ndarray, length: int, bar: int, grid: int) -> list[np.ndarray]:
    """Windows, int16 [length] each, that begin on a bar line of a segment.

    Left out are those into which a note is held over the bar line, those without an onset in their
    first bar, and those of which more than half is rests. Only rests of a quarter note or more
    count, since staccato notes leave shorter ones.
    """
    found = []
    sounds = _sounding(segment)
    rests = _at_least(~sounds, grid)
    for start in range(0, len(segment) - length + 1, bar):
        window = segment[start : start + length]
        held = start > 0 and sounds[start - 1] and window[0] == HOLD
        if held or window[:bar].max() < FIRST_NOTE:
            continue
        if 2 * int(rests[start : start + length].sum()) <= length:
            found.append(window)
    return found


def _sounding(tokens: np.ndarray) -> np.ndarray:
    """bool [T]: whether a note sounds at each step of a row, int16 [T]."""
    events = np.where(tokens == HOLD, 0, np.arange(1, len(tokens) + 1))
    last = np.maximum.accumulate(events)  # number of the latest event + 1, 0 before the first
    sounds: np.ndarray = (last > 0) & (tokens[last - 1] >= FIRST_NOTE)
    return sounds


def _at_least(where: np.ndarray, length: int) -> np.ndarray:
    """bool [T]: the runs of `where`, bool [T], that have at least `length` steps."""
    found = np.zeros(len(where), bool)
    edges = np.flatnonzero(np.diff(where, prepend=False, append=False))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        found[start:end] = end - start >= length
    return found
