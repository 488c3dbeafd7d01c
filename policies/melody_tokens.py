"""Melodies as token sequences: one token per step, a sixteenth note (a quarter note is 4 steps).

    token       text              meaning
    0           -                 hold: a sounding note goes on, silence goes on
    1           .                 note off
    2..37       C3, C#3, ... B5   note on, MIDI pitch 48..83

The text of a melody is its tokens' texts without separators ("C4---D4---E4-------.---"); each text
stands for exactly one row of tokens. There is no end token: every episode has the same length.
"""

from __future__ import annotations

import re

HOLD, OFF, FIRST_NOTE = 0, 1, 2
LOW, HIGH = 48, 83  # MIDI pitches of the first and the last note-on
STEPS_PER_QUARTER = 4

_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
TOKENS = ("-", ".", *(f"{_CLASSES[p % 12]}{p // 12 - 1}" for p in range(LOW, HIGH + 1)))
_TOKEN = re.compile("|".join(map(re.escape, TOKENS)))


def tokenize(melody: str) -> list[str]:
    """Split a melody into tokens. Raises ValueError naming the first character that isn't one's."""
    tokens: list[str] = []
    position = 0
    while position < len(melody):
        match = _TOKEN.match(melody, position)
        if match is None:
            raise ValueError(f"{melody!r} is not a melody at character {position + 1}")
        tokens.append(match.group())
        position = match.end()
    return tokens
