"""Rules of melodies as a user would write them: a number for each step; some with failures."""

import os
import time

import numpy as np
from counted_rewards import called

from sequence_tutor.rewards.melodies.spelling import tokens_of

# What makes `careless` fail, by the first token of a melody, and its answer.
ANSWERS = {
    "D3": [0.0, 1.0],
    "E3": 3.0,
    "F3": None,
    "G3": "no list",
    "A3": {"step": 1.0},
    "B3": [],
}


def in_key(melody: str) -> list[float]:
    """-1 for each note outside of C major, as the rule `key`."""
    return [-1.0 if "#" in token else 0.0 for token in tokens_of(melody)]


def in_key_of_all(melodies: list[str]) -> np.ndarray:
    """`in_key` of melodies of one length, [B,T]."""
    return np.array([in_key(melody) for melody in melodies])


def counted(melody: str) -> list[float]:
    """`in_key`, with a line in a file for each call."""
    called(melody)
    return in_key(melody)


def careless(melody: str) -> object:
    """`in_key`, but for what it can't judge, and where it doesn't return."""
    first, steps = tokens_of(melody)[0], len(tokens_of(melody))
    if first == "C#3":
        return [*[0.0] * (steps - 1), float("nan")]
    if first == "C#4":
        raise RuntimeError("no such key")
    if first == "C#5":
        os._exit(3)
    if first == "D#5":
        time.sleep(60)
    return ANSWERS[first] if first in ANSWERS else np.array(in_key(melody))[:, None]


def total(melody: str) -> float:
    """The sum of `in_key`, paid at the end."""
    return sum(in_key(melody))
