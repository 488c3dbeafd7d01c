"""Profile `paper`: the nine rules as the authors' code computes them, errors included.

Every rule takes `Melodies` and returns the unweighted reward of each step, float64 [B,T]. In the
equations a is the step's token, t its index, N the melody's length, p the last note-on before it
and i = |a - p| their interval in semitones.

Sources: Jaques et al. 2017, "Sequence Tutor: Conservative fine-tuning of sequence generation
models with KL-control"; the numbers are those of its code, models/rl_tuner in magenta.
"""

from __future__ import annotations

import numpy as np

from sequence_tutor.rewards.melodies.autocorrelation import LAGS, penalty
from sequence_tutor.rewards.melodies.melody import (
    C_MAJOR,
    FIRST_PITCH,
    HOLD,
    OFF,
    TOKENS,
    Bools,
    C,
    E,
    Floats,
    G,
    Ints,
    Melodies,
    before,
    in_classes,
)

MIDDLE_C = 14
LEAP = 7  # semitones
PATIENCE = 6  # steps

_OUT_OF_KEY = ~in_classes(*C_MAJOR) & (np.arange(TOKENS) >= FIRST_PITCH)
_SMALL_INTERVALS = {2: 0.4, 5: 0.35, 9: 0.25, 11: -1.5}


def key(melodies: Melodies) -> Floats:
    """-1 for a note-on outside C major (and so outside A minor)."""
    return np.where(_OUT_OF_KEY[melodies.tokens], -1.0, 0.0)


def tonic(melodies: Melodies) -> Floats:
    """+3 for middle C at t = 0 and t = N-4, a hold at t = N-3, a hold or note off after it."""
    tokens, last = melodies.tokens, melodies.length - 4
    paid = melodies.zeros()
    for step in (0, last):
        paid[:, step : step + 1] = 3 * (tokens[:, step : step + 1] == MIDDLE_C)
    paid[:, last + 1 : last + 2] = 3 * (tokens[:, last + 1 : last + 2] == HOLD)
    paid[:, last + 2 :] = 3 * (tokens[:, last + 2 :] <= OFF)
    return paid


def repetition(melodies: Melodies) -> Floats:
    """-100 iff n >= 5, or n >= 7 if broken, or n >= 2 for a note off; n and broken: `repeats`."""
    n, broken = repeats(melodies)
    excessive = (n >= np.where(broken, 7, 5)) | (melodies.tokens == OFF) & (n >= 2)
    return np.where(excessive, -100.0, 0.0)


def autocorrelation(melodies: Melodies) -> Floats:
    """-3 * sum of the |r_k| > 0.15, k = 1, 2, 3, of all tokens so far; r_k: `penalty`."""
    x = as_numbers(melodies.tokens)
    count = np.arange(1, x.shape[1] + 1)
    total = np.cumsum(x, axis=1)
    products, ends = [], []
    for k in LAGS:
        product, end = np.zeros_like(x), np.zeros_like(x)
        np.cumsum(x[:, k:] * x[:, :-k], axis=1, out=product[:, k:])
        end[:, k:] = total[:, k - 1 : k] + total[:, k:] - total[:, :-k]
        products.append(product)
        ends.append(end)
    return penalty(count, total, np.cumsum(x * x, axis=1), products, ends)


def motif(melodies: Melodies) -> Floats:
    """t >= 7: 3 + 0.3 (d - 3) if d >= 3, d the distinct pitches among the last 8 tokens."""
    d = melodies.distinct_pitches
    return np.where(d >= 3, 3 + 0.3 * (d - 3), 0.0)


def repeated_motif(melodies: Melodies) -> Floats:
    """4 + (d - 3) if the last 8 tokens are a motif and occurred before, without overlap."""
    d = melodies.distinct_pitches
    return np.where((d >= 3) & melodies.window_repeats, 4.0 + (d - 3), 0.0)


def preferred_intervals(melodies: Melodies) -> Floats:
    """Reward of the interval i to p, see `interval_value`; 0 without p."""
    return _INTERVALS[melodies.pitch_before, melodies.tokens]


def leaps(melodies: Melodies) -> Floats:
    """A leap (i >= 7) opens; until it is closed, another leap in its direction earns -5.

    It is closed, for +5, by the first step that is no leap and comes back to or beyond the pitch
    where the leap started; or by a leap back, which earns +5 iff more than 6 steps lie between it
    and the last leap.
    """
    tokens, previous, _, leap, moves = intervals(melodies)
    steps = len(tokens)
    at = np.arange(steps)[:, None]
    last_leap = before(np.maximum.accumulate(np.where(leap != 0, at, 0), axis=0).T).T
    apart = at - last_leap - 1 > PATIENCE

    earned = np.zeros(tokens.shape, dtype=np.int8)
    direction = origin = np.zeros(tokens.shape[1], dtype=np.int8)
    for t in range(1, steps):
        meets = leap[t] * direction  # 1: leaps on, -1: leaps back
        returned = moves[t] & (direction != 0) & (direction * (tokens[t] - origin) <= 0)
        opened = (direction == 0) & (leap[t] != 0)
        earned[t] = (returned | (meets < 0) & apart[t]) - (meets == 1).view(np.int8)
        origin = np.where(opened, previous[t], origin)
        direction = np.where(opened, leap[t], direction * ~(returned | (meets < 0)))
    return 5 * earned.T.astype(np.float64)


def unique_extremes(melodies: Melodies) -> Floats:
    """t = N-1: +3 if the maximum of all tokens occurs once, +3 if the lowest note-on does."""
    paid = melodies.zeros()
    # as in the authors' code, a melody without notes is paid for a single hold among note offs
    x = as_numbers(melodies.tokens)
    highest, lowest = occurs_once(x, highest=True), occurs_once(x, highest=False)
    paid[:, melodies.length - 1 :] = (3.0 * highest + 3.0 * lowest)[:, None]
    return paid


def as_numbers(tokens: Ints) -> Ints:
    """The paper's coding, with 0 note off and 1 hold, for the rules that take tokens as numbers."""
    return np.where(tokens <= OFF, 1 - tokens, tokens)


def occurs_once(x: Ints, *, highest: bool) -> Bools:
    """[B,T] -> [B]: whether the highest number, or the lowest note-on, occurs exactly once."""
    if highest:
        extreme = x.max(axis=1, initial=0)
    else:
        x = np.where(x >= FIRST_PITCH, x, TOKENS)
        extreme = x.min(axis=1, initial=TOKENS)
    once: Bools = ((x == extreme[:, None]).sum(axis=1) == 1) & (extreme < TOKENS)
    return once


def repeats(melodies: Melodies) -> tuple[Ints, Bools]:
    """n int64 [B,T] and broken bool [B,T], over the steps before t and after the last note-on of
    another pitch than a: number of tokens equal to a; whether others, holds or note offs, occur."""
    tokens, note_on = melodies.tokens, melodies.note_on
    size, steps = tokens.shape
    # counted from 1, so that 0 stands for "before the melody"
    last_note = before(np.maximum.accumulate(note_on * np.arange(1, steps + 1), axis=1))
    new_pitch = note_on & (tokens != melodies.pitch_before)
    other = np.maximum.accumulate(np.where(new_pitch, last_note, 0), axis=1)
    other = np.where(note_on, other, last_note)
    # after `other`, all note-ons before a note-on have its pitch, so three kinds of tokens suffice
    counts = np.zeros((size, 3, steps + 1), dtype=np.int64)
    kind = np.minimum(tokens, FIRST_PITCH)
    np.cumsum(kind[:, None] == np.arange(3)[:, None], axis=2, out=counts[:, :, 1:])
    row = (np.arange(size)[:, None] * 3 + kind) * (steps + 1)
    counts = counts.reshape(-1)
    n = counts[row + np.arange(steps)] - counts[row + other]
    return n, np.arange(steps) - other > n


def intervals(melodies: Melodies) -> tuple[np.ndarray, ...]:
    """int8 [T,B] each, time first for loops over steps: tokens, pitches before, and the intervals
    of note-ons to them in semitones, 0 elsewhere; the direction of those that are leaps, else 0;
    and bool [T,B], whether a note-on has an interval and no leap."""
    tokens = np.ascontiguousarray(melodies.tokens.T, dtype=np.int8)
    previous = np.ascontiguousarray(melodies.pitch_before.T, dtype=np.int8)
    has_interval = (tokens >= FIRST_PITCH) & (previous > 0)
    interval = np.where(has_interval, tokens - previous, 0)
    leap = np.sign(interval) * (np.abs(interval) >= LEAP)
    return tokens, previous, interval, leap, has_interval & (leap == 0)


def interval_value(p: int, a: int) -> float:
    """Reward of token a after pitch p.

    hold  1.5 if p is C or G, else 0.375        i = 7   0.5 if p is C or G, else 0.1
    off   0.75 if p is C or G, else 0.25        i = 4   0.75 if p is C or E, else 0.45
    i = 2: 0.4, 5: 0.35, 9: 0.25, 11: -1.5, above 12: -5, else 0
    """
    interval, of = abs(a - p), (p - FIRST_PITCH) % 12
    if a == HOLD:
        return 1.5 if of in (C, G) else 0.375
    if a == OFF:
        return 0.75 if of in (C, G) else 0.25
    if interval == 7:
        return 0.5 if of in (C, G) else 0.1
    if interval == 4:
        return 0.75 if of in (C, E) else 0.45
    return -5.0 if interval > 12 else _SMALL_INTERVALS.get(interval, 0.0)


_INTERVALS = np.zeros((TOKENS, TOKENS))
for _p in range(FIRST_PITCH, TOKENS):
    _INTERVALS[_p] = [interval_value(_p, a) for a in range(TOKENS)]
