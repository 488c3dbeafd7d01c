"""Profile `corrected`: the nine rules as the paper's text describes them, same names and signs.

"Corrects" in each docstring says what the paper's code does otherwise. A pitch sounds from its
note-on until a note off, through holds. In the equations a is the step's token, t its index, N the
melody's length.

Source: Jaques et al. 2017, "Sequence Tutor"; weights of its code, models/rl_tuner in magenta,
except where a correction needs a new number.
"""

from __future__ import annotations

import numpy as np

from sequence_tutor.rewards.melodies import paper_rules as paper
from sequence_tutor.rewards.melodies.autocorrelation import LAGS, penalty
from sequence_tutor.rewards.melodies.melody import (
    C_MAJOR,
    FIRST_PITCH,
    HOLD,
    OFF,
    TOKENS,
    WINDOW,
    A,
    Bools,
    C,
    Floats,
    Melodies,
    before,
    in_classes,
)

CADENCE = 16  # the last four beats, in steps
MIN_NOTES = 8  # a correlation of fewer notes isn't meaningful
MAX_MOTIF = 5  # distinct pitches in half a bar

_TONIC = in_classes(C, A)
_IN_KEY = in_classes(*C_MAJOR)

key = paper.key


def tonic(melodies: Melodies) -> Floats:
    """t = 0: +3 if a is a C or A. t >= max(1, N-16): +0.75 if a C or A sounds; at most 12.

    Corrects: only MIDI 60 counted, not the tonic of A minor nor other octaves; the cadence was four
    steps, not beats, and its holds and rests were paid after any note.
    """
    paid = melodies.zeros()
    start = max(1, melodies.length - CADENCE)
    paid[:, :1] = 3.0 * _TONIC[melodies.tokens[:, :1]]
    paid[:, start:] = 0.75 * _TONIC[melodies.sounding[:, start:]]
    return paid


def repetition(melodies: Melodies) -> Floats:
    """-100 iff a note-on has n >= 4, or n >= 6 if broken, or a note off has n >= 2.

    n, the equal tokens since the last note-on of another pitch, and broken: `repeats`.
    Corrects: a held note counted as a repeated one, so that long notes cost 100 a step; five equal
    notes were allowed where the text says four.
    """
    n, broken = paper.repeats(melodies)
    notes = melodies.note_on & (n >= np.where(broken, 6, 4))
    return np.where(notes | (melodies.tokens == OFF) & (n >= 2), -100.0, 0.0)


def autocorrelation(melodies: Melodies) -> Floats:
    """t = N-1: -3 * sum of the |r_k| > 0.15, k = 1, 2, 3, of the pitches of all notes.

    r_k: `penalty`. 0 for fewer than 8 notes and for a constant pitch.
    Corrects: it was computed at every step from the second on, where any two tokens correlate, and
    of token numbers, in which a hold is a low pitch.
    """
    paid = melodies.zeros()
    if melodies.tokens.shape[1] < melodies.length:
        return paid
    count = melodies.note_on.sum(axis=1)
    # notes move to the front; zeros after them add nothing to the sums. Tokens stand for pitches,
    # since a correlation doesn't depend on unit and origin
    x = np.zeros_like(melodies.tokens)
    x[np.arange(x.shape[1]) < count[:, None]] = melodies.tokens[melodies.note_on]
    running = np.zeros((len(x), x.shape[1] + 1), dtype=np.int64)
    np.cumsum(x, axis=1, out=running[:, 1:])
    total = running[:, -1]
    products = [(x[:, k:] * x[:, :-k]).sum(axis=1) for k in LAGS]
    rows = np.arange(len(x))
    ends = [running[:, k] + total - running[rows, np.maximum(count - k, 0)] for k in LAGS]
    due = penalty(count, total, (x**2).sum(axis=1), products, ends)
    paid[:, -1] = np.where(count >= MIN_NOTES, due, 0.0)
    return paid


def motif(melodies: Melodies) -> Floats:
    """t mod 8 = 7: 3 + 0.3 (d - 3) if 3 <= d <= 5, d the distinct pitches of the half bar.

    Corrects: windows ended, and were paid, at every step, so that dense noise earned most. More
    than 5 pitches are no motif.
    """
    return np.where(_is_motif(melodies), 3 + 0.3 * (melodies.distinct_pitches - 3), 0.0)


def repeated_motif(melodies: Melodies) -> Floats:
    """t mod 8 = 7: 4 + (d - 3) for a motif whose 8 tokens occurred before, anywhere up to t-8.

    Corrects the windows at every step, as `motif` does.
    """
    found = _is_motif(melodies) & melodies.window_repeats
    return np.where(found, 4.0 + (melodies.distinct_pitches - 3), 0.0)


def preferred_intervals(melodies: Melodies) -> Floats:
    """Reward of the interval to the last pitch, see `interval_value`; 0 without one.

    Corrects: silence after a C or G earned 1.5 a step, as if the note were held.
    """
    silent = before(melodies.sounding) == 0
    paid: Floats = _INTERVALS[silent.astype(np.int64), melodies.pitch_before, melodies.tokens]
    return paid


def leaps(melodies: Melodies) -> Floats:
    """Leaps of a fifth or more are to be resolved, see `resolved_leaps`; a leap back earns +5.

    Corrects: a leap back within 6 steps closed the leap without a reward. That reward alone would
    make a trill of leaps the best melody, so a leap soon after a leap back costs the same.
    """
    return paper.resolved_leaps(melodies, quick_ones=True)


def unique_extremes(melodies: Melodies) -> Floats:
    """t = N-1: +3 if the highest note-on occurs once, +3 if the lowest does.

    Corrects: a melody without notes could earn +3 for its highest.
    """
    paid = melodies.zeros()
    tokens, notes = melodies.tokens, melodies.note_on.any(axis=1)
    highest = notes & paper.occurs_once(tokens, highest=True)
    lowest = paper.occurs_once(tokens, highest=False)
    paid[:, melodies.length - 1 :] = (3.0 * highest + 3.0 * lowest)[:, None]
    return paid


def interval_value(p: int, a: int, silent: bool) -> float:
    """Reward of token a after pitch p; `silent`: p has ended.

    As in profile `paper`, except that holds and note offs earn nothing in silence, and that
    i = 4 earns 0.75 for C-E, either way, and 0.45 otherwise.
    Corrects: "a third in key" was any from C or E, C-Ab and E-G# among them.
    """
    if silent and a in (HOLD, OFF):
        return 0.0
    if a >= FIRST_PITCH and abs(a - p) == 4 and not _IN_KEY[a]:
        return 0.45
    return paper.interval_value(p, a)


def _is_motif(melodies: Melodies) -> Bools:
    d = melodies.distinct_pitches
    half_bar_ends = np.arange(d.shape[1]) % WINDOW == WINDOW - 1
    found: Bools = (d >= 3) & (d <= MAX_MOTIF) & half_bar_ends
    return found


_INTERVALS = np.zeros((2, TOKENS, TOKENS))
for _p in range(FIRST_PITCH, TOKENS):
    for _silent in (False, True):
        _INTERVALS[int(_silent), _p] = [interval_value(_p, a, _silent) for a in range(TOKENS)]
