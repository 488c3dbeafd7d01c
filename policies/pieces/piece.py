"""A piece of music as its file tells it: what the readers of files give and melodies are cut from.

All times are in quarter notes from the start of the file, so tempo doesn't matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple

_SAME = 1e-3  # quarter notes, or bars, within which two places are one


class ReadError(ValueError):
    """A file can't be used; the message says why, without the file's name."""


class Note(NamedTuple):
    """A note."""

    pitch: int
    """MIDI pitch, 0..127."""
    start: float
    """Onset in quarter notes from the start of the file."""
    end: float
    """End in quarter notes, above `start`."""


@dataclass(frozen=True)
class Part:
    """The notes of one player: a track's channel in MIDI, a staff in notation."""

    name: str
    """What the file calls it; "" where it has no name."""
    notes: tuple[Note, ...]
    """Its notes, at least one, by onset."""
    program: int | None = None
    """The instrument's number in General MIDI, 0..127; None where the file gives none."""
    drums: bool = False
    """Whether its pitches stand for drums."""


@dataclass(frozen=True)
class Section:
    """A stretch in one metre. Its bar lines are at `start` + `upbeat` + k bars, k an integer."""

    numerator: int
    """Upper number of the metre."""
    denominator: int
    """Lower number of the metre."""
    start: float
    """Where the stretch begins: on a bar line, or `upbeat` before one."""
    end: float
    """Where it ends, above `start`."""
    upbeat: float = 0.0
    """Quarter notes before the first bar line, less than a bar."""

    @property
    def bar(self) -> Fraction:
        """Length of a bar in quarter notes."""
        return Fraction(4 * self.numerator, self.denominator)

    @property
    def first_bar_line(self) -> float:
        """The last bar line at or before `start`."""
        return self.start + self.upbeat - (float(self.bar) if self.upbeat else 0.0)


@dataclass(frozen=True)
class Piece:
    """A piece of music."""

    parts: tuple[Part, ...]
    """Its parts in the order of the file, at least one."""
    sections: tuple[Section, ...]
    """Its stretches of one metre, in order and without gaps, at least one."""
    title: str = ""
    """What the file calls it; it tells the tunes of one file apart."""
    scale: int | None = None
    """Scale of the key signature, semitones from C to its major tonic; None without a signature or
    with several."""
    tempo: float | None = None
    """The first tempo, quarter notes a minute; None where the file gives none."""
    notated: bool = False
    """Whether its bar lines are those of a score. In MIDI they may be counted from the first note
    though the piece has an upbeat."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """What couldn't be read and was left out or repaired, and how often."""

    @property
    def end(self) -> float:
        """End of the last note."""
        return max(note.end for part in self.parts for note in part.notes)


def sections_of(changes: list[tuple[float, int, int]], end: float) -> tuple[Section, ...]:
    """The sections between changes of the metre (quarter, numerator, denominator), 4/4 before the
    first; `end` of the piece, above 0.

    A change to the same metre on a bar line is none. A first section shorter than a bar of the next
    one is the upbeat to it, as notation programs write upbeats into MIDI.
    """
    kept: list[tuple[float, int, int]] = []
    for start, numerator, denominator in sorted([(0.0, 4, 4), *changes], key=lambda c: c[0]):
        if start >= end:
            break
        if kept and start <= kept[-1][0] + _SAME:
            start = kept.pop()[0]  # two changes at one place: the later one counts
        if kept and kept[-1][1:] == (numerator, denominator):
            bars = (start - kept[-1][0]) / (4 * numerator / denominator)
            if abs(bars - round(bars)) < _SAME:
                continue
        kept.append((start, numerator, denominator))
    ends = [*(start for start, _, _ in kept[1:]), end]
    found = [Section(n, d, start, end) for (start, n, d), end in zip(kept, ends, strict=True)]
    if len(found) > 1:
        first, second = found[:2]
        length = first.end - first.start
        if length < float(second.bar) - _SAME and length <= float(first.bar) + _SAME:
            found[:2] = [replace(second, start=first.start, upbeat=length)]
    return tuple(found)
