"""The symbols of written music that show a melody: notes and rests of one value, tied where one
symbol can't show a note. Times are in ticks, of which a quarter note has 12."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sequence_tutor.rewards.melodies.depicting.note_names import NoteName, note_names
from sequence_tutor.rewards.melodies.melody import Melody
from sequence_tutor.rewards.melodies.style import Style
from sequence_tutor.rewards.melodies.time import Time

QUARTER = 12  # ticks
# Rests of these lengths, the longest first: plain values, then those of triplets.
_PLAIN, _TRIPLET = (48, 24, 12, 6, 3), (4, 2, 1)


class Shape(NamedTuple):
    """How a length is written."""

    kind: str
    """MusicXML's name of the value."""
    dots: int = 0
    """Dots after it."""
    triplet: bool = False
    """Whether three of it last as long as two plain ones."""


# Shape by length in ticks.
SHAPES = {
    48: Shape("whole"),
    36: Shape("half", 1),
    24: Shape("half"),
    18: Shape("quarter", 1),
    12: Shape("quarter"),
    9: Shape("eighth", 1),
    6: Shape("eighth"),
    3: Shape("16th"),
    8: Shape("quarter", triplet=True),
    4: Shape("eighth", triplet=True),
    2: Shape("16th", triplet=True),
    1: Shape("32nd", triplet=True),
}
BEAMS = {"eighth": 1, "16th": 2, "32nd": 3}  # beams of a value


@dataclass(frozen=True)
class Value:
    """A part of a note or rest that one symbol can show."""

    start: int
    """Its first tick."""
    ticks: int
    """Its length; one of `SHAPES`, or a whole bar's rest."""
    name: NoteName | None = None
    """Of a note; None for a rest."""
    tied: bool = False
    """Whether it goes on the note of the value before."""
    ties: bool = False
    """Whether the next value goes on its note."""


class Grid:
    """Lengths of a melody's time in ticks."""

    def __init__(self, time: Time) -> None:
        self.step = QUARTER // time.grid
        self.bar, self.beat = time.bar * self.step, time.beat * self.step
        self.is_compound = time.is_compound

    def divide(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Divide a note into values that keep the beats visible, as (start, ticks).

        A value stays within its bar. It crosses the middle of a bar only from beat to beat, and
        another beat only from half to half of a beat, or in 6/8 from beat to beat; elsewhere the
        note is divided there and tied.
        """
        halves = [2 * self.beat] if self.bar % (4 * self.beat) == 0 else []
        for size in (self.bar, *halves, self.beat):
            border = start // size * size + size
            parts = size // 2 if size < self.bar and not self.is_compound else self.beat
            if border < end and (start % parts or end % parts or size == self.bar):
                yield from self.divide(start, border)
                yield from self.divide(border, end)
                return
        if end - start in SHAPES:
            yield start, end - start
            return
        border = start // self.beat * self.beat + self.beat
        if border >= end:  # within a beat: the longest value first
            border = start + max(ticks for ticks in SHAPES if ticks < end - start)
        yield from self.divide(start, border)
        yield from self.divide(border, end)

    def rests(self, start: int, end: int) -> Iterator[Value]:
        """Rests, each the longest without a dot that begins at a multiple of its length; a whole
        bar is one, and so is a beat of 6/8."""
        while start < end:
            within = start % self.bar
            most = min(end - start, self.bar - within)
            sizes = (self.beat, *_PLAIN, *_TRIPLET) if self.is_compound else (*_PLAIN, *_TRIPLET)
            fits = (n for n in sizes if within % n == 0 and n <= most)
            size = self.bar if most == self.bar else next(fits)
            yield Value(start, size)
            start += size


def note_values(melody: Melody, style: Style) -> Iterator[Value]:
    """The symbols of a melody in their order, bar after bar, without a gap; the last bar is filled
    with rests."""
    grid = Grid(melody.time)
    names = note_names([pitch for _, pitch, _ in melody.notes], style.fifths)
    at = 0
    for (first, _, length), name in zip(melody.notes, names, strict=True):
        start, end = first * grid.step, (first + length) * grid.step
        yield from grid.rests(at, start)
        parts = list(grid.divide(start, end))
        for i, (begin, size) in enumerate(parts):
            yield Value(begin, size, name, tied=i > 0, ties=i + 1 < len(parts))
        at = end
    steps = len(melody.tokens) * grid.step
    yield from grid.rests(at, -(-steps // grid.bar) * grid.bar)
