"""A melody, and a batch of them as the rules use it: tokens, and what is computed from them once.

Tokens: 0 hold (no event), 1 note off, 2..37 note-ons of MIDI 48..83, of pitch class
(token - 2) mod 12 with C = 0. A note-on starts a pitch, which sounds until a note off or the next
note-on; a hold keeps the state, and a melody starts in silence. A melody is what was generated:
no priming note, so its first step has no interval.

Shape legend: B melodies, T steps so far, N steps of the whole melody (`length`), T <= N. Values of
a step depend only on the steps up to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sequence_tutor.rewards.melodies.time import COMMON, Time

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

HOLD, OFF, FIRST_PITCH = 0, 1, 2
TOKENS = 38
LOWEST = 48  # MIDI pitch of the first note-on
C, E, G, A = 0, 4, 7, 9  # pitch classes
C_MAJOR = (0, 2, 4, 5, 7, 9, 11)

# Steps. The paper rewards the last four; below 2^16, sums of products of tokens fit int64.
MIN_LENGTH, MAX_LENGTH = 4, 65_535
_INDEX_BITS = 16
_LARGEST_BASE = 1 << 21  # numbers below it make pairs below 2^42


def in_classes(*classes: int) -> Bools:
    """bool [38] by token: whether it is a note-on of one of these pitch classes."""
    tokens = np.arange(TOKENS)
    return (tokens >= FIRST_PITCH) & np.isin((tokens - FIRST_PITCH) % 12, classes)


@dataclass(frozen=True)
class Melody:
    """One melody."""

    tokens: Ints
    """int64 [T]."""
    time: Time = COMMON
    """Its metre and grid."""

    @cached_property
    def notes(self) -> list[tuple[int, int, int]]:
        """Each note's first step, MIDI pitch and length in steps, in their order."""
        found: list[tuple[int, int, int]] = []
        start = pitch = 0
        for step, token in enumerate([*self.tokens.tolist(), OFF]):
            if token == HOLD:
                continue
            if pitch:
                found.append((start, pitch, step - start))
            start, pitch = step, token + LOWEST - FIRST_PITCH if token >= FIRST_PITCH else 0
        return found


class Melodies:
    """tokens int64 [B,T], prefixes of melodies of `length` = N steps in one time.

    Raises ValueError for tokens that aren't integers 0..37 in two dimensions, for T > N and for
    a length out of bounds.
    """

    def __init__(self, tokens: ArrayLike, length: int = 32, time: Time = COMMON) -> None:
        given = np.asarray(tokens)
        if not MIN_LENGTH <= length <= MAX_LENGTH:
            raise ValueError(f"length must be {MIN_LENGTH} to {MAX_LENGTH} steps, not {length}")
        if given.ndim != 2:
            raise ValueError(f"melodies must be tokens [B,T], not of shape {given.shape}")
        if given.dtype.kind not in "iu":
            raise ValueError(f"tokens must be integers, not {given.dtype}")
        if given.shape[1] > length:
            raise ValueError(f"melodies of {given.shape[1]} steps exceed length = {length}")
        if given.size and not (0 <= given.min() and given.max() < TOKENS):
            raise ValueError(f"tokens must be 0..{TOKENS - 1}, not {given.min()}..{given.max()}")
        self.tokens: Ints = given.astype(np.int64)
        self.length, self.time = length, time

    @cached_property
    def note_on(self) -> Bools:
        """[B,T]: whether the step starts a note."""
        return self.tokens >= FIRST_PITCH

    @cached_property
    def pitch_before(self) -> Ints:
        """[B,T]: the last note-on before the step, sounding or not; 0 if there is none."""
        return before(self._latest(self.note_on))

    @cached_property
    def sounding(self) -> Ints:
        """[B,T]: the note-on that sounds after the step; 0 in silence."""
        event = self._latest(self.tokens != HOLD)
        return np.where(event == OFF, 0, event)

    @property
    def window(self) -> int:
        """The tokens of a motif: 8 in 4/4, half a bar; see `Time.phrase`."""
        return self.time.phrase

    @cached_property
    def distinct_pitches(self) -> Ints:
        """[B,T]: number of different note-ons among the last `window` tokens; 0 before there are as
        many."""
        bits = np.where(self.note_on, 1 << self.tokens, 0)
        for reach in _reaches(self.window):
            bits = bits[:, reach:] | bits[:, :-reach]
        count = np.zeros_like(self.tokens)
        count[:, self.window - 1 :] = np.bitwise_count(bits)
        return count

    @cached_property
    def window_repeats(self) -> Bools:
        """[B,T]: whether the last `window` tokens occurred before, ending as many steps earlier or
        more."""
        found, window = np.zeros(self.tokens.shape, dtype=bool), self.window
        codes = self._window_codes()
        if codes.size == 0:
            return found
        # sorting puts equal windows side by side, the earliest first
        stamped = np.sort(codes << _INDEX_BITS | np.arange(codes.shape[1]), axis=1)
        codes, index = stamped >> _INDEX_BITS, stamped & ((1 << _INDEX_BITS) - 1)
        is_first = np.ones(codes.shape, dtype=bool)
        is_first[:, 1:] = codes[:, 1:] != codes[:, :-1]
        place = np.maximum.accumulate(np.where(is_first, np.arange(codes.shape[1]), 0), axis=1)
        earliest = np.take_along_axis(index, place, axis=1)
        np.put_along_axis(found[:, window - 1 :], index, index - earliest >= window, axis=1)
        return found

    def _window_codes(self) -> Ints:
        """[B,T-window+1]: a number below 2^42 for each window, equal for equal windows."""
        codes, base = self.tokens, TOKENS
        for reach in _reaches(self.window):
            if base > _LARGEST_BASE:  # numbers of fewer bits, in the same order
                codes = np.unique(codes, return_inverse=True)[1].reshape(codes.shape)
                base = int(codes.max(initial=0)) + 1
            codes = codes[:, :-reach] * base + codes[:, reach:]
            base *= base
        return codes

    def zeros(self) -> Floats:
        """Rewards to fill in, float64 [B,T]."""
        return np.zeros(self.tokens.shape)

    def _latest(self, kept: Bools) -> Ints:
        """[B,T]: the last token up to and including the step among those kept; 0 for none."""
        # with the step in its upper bits, the latest token is the largest number so far
        stamped = np.where(kept, np.arange(self.tokens.shape[1]) << 6 | self.tokens, 0)
        latest: Ints = np.maximum.accumulate(stamped, axis=1) & 63
        return latest


def _reaches(window: int) -> list[int]:
    """By how many steps to shift and join, so that runs of 1 token grow to `window` tokens."""
    reaches, size = [], 1
    while size < window:
        reaches.append(min(size, window - size))
        size += reaches[-1]
    return reaches


def before(values: Ints) -> Ints:
    """[B,T] -> [B,T]: the value one step earlier, 0 at the first step."""
    shifted = np.zeros_like(values)
    shifted[:, 1:] = values[:, :-1]
    return shifted
