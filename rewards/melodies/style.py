"""How melodies are played and written: in which key, how fast and by which instrument.

Melodies are in C major or A minor, as the prior learned them; a key moves them elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

_FIFTHS = {"F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5}
_KEY = re.compile(r"([A-G])([#b]?)(m?)")
TEMPOS = (20, 300)  # quarter notes a minute
PROGRAMS = 128  # sounds of General MIDI


@dataclass(frozen=True)
class Style:
    """Raises ValueError for a key, tempo or instrument that can't be."""

    key: str = "C"
    """Such as "D", "Bb" or "F#m"; a minor key is that of the same notes."""
    tempo: float = 120.0
    """Quarter notes a minute."""
    instrument: int = 0
    """The General MIDI sound, 0 to 127; 0 is a piano."""

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key) or abs(self.fifths) > 7:
            raise ValueError(f"{self.key!r} is not a key, such as C, Bb, F# or Em")
        if not TEMPOS[0] <= self.tempo <= TEMPOS[1]:
            low, high = TEMPOS
            raise ValueError(f"the tempo must be {low} to {high} quarter notes a minute")
        if not 0 <= self.instrument < PROGRAMS:
            raise ValueError(f"the instrument must be 0 to {PROGRAMS - 1}, as in General MIDI")

    @cached_property
    def fifths(self) -> int:
        """Sharps of the key signature; flats are negative."""
        match = _KEY.fullmatch(self.key)
        assert match is not None
        letter, sign, minor = match.groups()
        return _FIFTHS[letter] + {"#": 7, "b": -7, "": 0}[sign] - (3 if minor else 0)

    @cached_property
    def shift(self) -> int:
        """Semitones from C major to the key, -5 to 6."""
        return (self.fifths * 7 + 5) % 12 - 5

    def seconds(self, steps: float, grid: int) -> float:
        """The time that `steps` take on a grid of `grid` steps a quarter note."""
        return steps * 60.0 / self.tempo / grid


PLAIN = Style()


def style_of(options: dict[str, Any]) -> Style:
    """The style of options by name. Raises ValueError for an unknown one."""
    try:
        return Style(**options)
    except TypeError:
        unknown = sorted(set(options) - {"key", "tempo", "instrument"})
        raise ValueError(f"melodies have no {', '.join(unknown)}") from None
