"""Conversion between the text and the tokens of a melody; for what tokens mean see `melody`.

"-" is hold, "." note off, "C3", "C#3", ... "B5" are note-ons; nothing separates them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sequence_tutor.rewards.base import Identity
from sequence_tutor.rewards.melodies.melody import MAX_LENGTH, MIN_LENGTH

_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
TEXTS = ("-", ".", *(name + octave for octave in "345" for name in _CLASSES))
_IDS = {text: token for token, text in enumerate(TEXTS)}
_TOKEN = re.compile("|".join(map(re.escape, TEXTS)))


def tokens_of(text: str) -> list[str]:
    """Split a melody into the texts of its tokens. Raises ValueError where it isn't a melody."""
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != text:
        raise ValueError(f"{text[:60]!r} is not a melody")
    return tokens


def parse(text: str) -> NDArray[np.int64] | None:
    """The tokens int64 [T], T >= 1, of a melody's text; None for a text that isn't a melody."""
    tokens = _TOKEN.findall(text)
    if not tokens or "".join(tokens) != text:
        return None
    return np.array([_IDS[token] for token in tokens], dtype=np.int64)


def identify(text: str) -> Identity:
    """The text of a melody as its key, or why it isn't a melody that can be scored."""
    melody = parse(text)
    if melody is None:
        return Identity(None, _fault(text))
    if not MIN_LENGTH <= len(melody) <= MAX_LENGTH:
        return Identity(None, f"{len(melody)} steps, not {MIN_LENGTH} to {MAX_LENGTH:,}")
    return Identity(text)


def _fault(text: str) -> str:
    place = 0
    while match := _TOKEN.match(text, place):
        place = match.end()
    return f"not a melody at character {place + 1}" if text else "it is empty"


def spell(tokens: Sequence[int] | NDArray[np.integer]) -> str:
    """The inverse of `parse`: int [T] of 0..37 -> text."""
    return "".join(TEXTS[token] for token in tokens)
