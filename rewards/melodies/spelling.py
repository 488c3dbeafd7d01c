"""Conversion between the text and the tokens of a melody; for what tokens mean see `melody`.

"-" is hold, "." note off, "C3", "C#3", ... "B5" are note-ons; nothing separates them. Where the
time isn't 4/4 in sixteenths, the text begins with it, see `time`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sequence_tutor.rewards.base import Identity
from sequence_tutor.rewards.melodies.melody import MAX_LENGTH, MIN_LENGTH, Melody
from sequence_tutor.rewards.melodies.time import COMMON, Time, split_header

_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
TEXTS = ("-", ".", *(name + octave for octave in "345" for name in _CLASSES))
_IDS = {text: token for token, text in enumerate(TEXTS)}
_TOKEN = re.compile("|".join(map(re.escape, TEXTS)))


def tokens_of(text: str) -> list[str]:
    """The texts of a melody's tokens, without its time. Raises ValueError where it isn't one."""
    body = split_header(text)[1]
    tokens = _TOKEN.findall(body)
    if "".join(tokens) != body:
        raise ValueError(f"{text[:60]!r} is not a melody")
    return tokens


def parse(text: str) -> Melody | None:
    """The melody of a text, of at least one token; None for a text that isn't a melody."""
    try:
        tokens, time = tokens_of(text), split_header(text)[0]
    except ValueError:
        return None
    if not tokens:
        return None
    return Melody(np.array([_IDS[token] for token in tokens], dtype=np.int64), time)


def read(text: str) -> Melody:
    """The melody of a text. Raises ValueError for a text that isn't a melody."""
    melody = parse(text)
    if melody is None:
        raise ValueError(f"{text[:60]!r} is not a melody")
    return melody


def identify(text: str) -> Identity:
    """The text of a melody as its key, or why it isn't a melody that can be scored."""
    melody = parse(text)
    if melody is None:
        return Identity(None, _fault(text))
    if not MIN_LENGTH <= len(melody.tokens) <= MAX_LENGTH:
        return Identity(None, f"{len(melody.tokens)} steps, not {MIN_LENGTH} to {MAX_LENGTH:,}")
    return Identity(text)


def _fault(text: str) -> str:
    try:
        place = len(text) - len(split_header(text)[1])
    except ValueError as error:
        return str(error)
    while match := _TOKEN.match(text, place):
        place = match.end()
    return f"not a melody at character {place + 1}" if text else "it is empty"


def spell(tokens: Sequence[int] | NDArray[np.integer], time: Time = COMMON) -> str:
    """The inverse of `parse`: int [T] of 0..37 -> text."""
    return time.header + "".join(TEXTS[token] for token in tokens)
