"""The notes of whole melodies as arrays of onset, pitch and length, for metrics and rendering.

A note sounds from its note-on to the next note-on, note off or the melody's end; a step is a
sixteenth. For the tokens see `melody`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sequence_tutor.rewards.melodies.melody import FIRST_PITCH, OFF, TOKENS

PITCHES = TOKENS - FIRST_PITCH  # three octaves from a C


@dataclass(frozen=True)
class Notes:
    """The N notes of B melodies, melody by melody in time order."""

    melodies: int
    """Number of melodies B."""
    melody: np.ndarray
    """int64 [N] row of the melody that the note belongs to, 0..B-1."""
    start: np.ndarray
    """int64 [N] step of the note-on."""
    pitch: np.ndarray
    """int64 [N] semitones above MIDI 48, 0..35; pitch % 12 is the pitch class with C = 0."""
    length: np.ndarray
    """int64 [N] steps that the note sounds."""

    def count(self, values: np.ndarray, kinds: int, of: np.ndarray | None = None) -> np.ndarray:
        """Count each of `kinds` values in each melody: int64 [N] -> int64 [B,kinds].

        `of`, int64 [N], are the rows of the melodies that the values belong to; `melody` if None.
        """
        melody = self.melody if of is None else of
        counts = np.bincount(melody * kinds + values, minlength=self.melodies * kinds)
        return counts.reshape(self.melodies, kinds)


def find_notes(tokens: np.ndarray) -> Notes:
    """The notes of int [B,T]. Raises ValueError for other shapes and for tokens outside 0..37."""
    tokens = np.asarray(tokens)
    if tokens.ndim != 2:
        raise ValueError(f"tokens must be [B,T], not of shape {tokens.shape}")
    if tokens.size and not (tokens.min() >= 0 and tokens.max() < TOKENS):
        raise ValueError(f"tokens must be 0..{TOKENS - 1}; found {tokens.min()}..{tokens.max()}")
    # an OFF after the end, so that every note has a next event in its own row
    events = np.pad(tokens.astype(np.int64), ((0, 0), (0, 1)), constant_values=OFF)
    melody, step = np.nonzero(events)
    token = events[melody, step]
    starts = np.flatnonzero(token >= FIRST_PITCH)
    return Notes(
        melodies=len(tokens),
        melody=melody[starts],
        start=step[starts],
        pitch=token[starts] - FIRST_PITCH,
        length=step[starts + 1] - step[starts],
    )


def windows(melodies: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Whole, non-overlapping windows of melodies of any lengths: int [M] each -> [N,length].

    The rest at a melody's end, shorter than a window, isn't used.
    """
    pieces = [m[: len(m) // length * length].reshape(-1, length) for m in melodies]
    return np.concatenate([np.zeros((0, length), dtype=np.int64), *pieces])


def mean(values: np.ndarray) -> float:
    """Mean of the values that aren't NaN; NaN where there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def share(part: float, whole: float) -> float:
    """part / whole; NaN where whole = 0."""
    return float(part / whole) if whole else float("nan")
