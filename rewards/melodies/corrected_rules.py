"""Profile `corrected`: the nine rules as the paper's text describes them, same names and signs.

"Corrects" in each docstring says what the paper's code does otherwise. A pitch sounds from its
note-on until a note off, through holds. In the equations a is the step's token, t its index, N the
melody's length; bar and window are steps of the melody's time, 16 and 8 in 4/4 in sixteenths.

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
    A,
    Bools,
    C,
    Floats,
    Melodies,
    before,
    in_classes,
)

MIN_NOTES = 8  # a correlation of fewer notes isn't meaningful
# Defaults of what a config may change.
MOST_REPEATED = 4  # equal notes in a row; two more where they are held or a rest comes between
MOTIF = (3, 5)  # distinct pitches of a motif
WIDEST_LEAP = 12  # semitones, an octave
WIDEST_RANGE = 19  # semitones between the extremes, an octave and a fifth

_TONIC = in_classes(C, A)
_IN_KEY = in_classes(*C_MAJOR)

key = paper.key


def tonic(melodies: Melodies) -> Floats:
    """t = 0: +3 if a is a C or A. t >= max(1, N-bar): +12/bar if a C or A sounds; at most 12.

    Corrects: only MIDI 60 counted, not the tonic of A minor nor other octaves; the cadence was four
    steps, not beats, and its holds and rests were paid after any note.
    """
    paid = melodies.zeros()
    bar = melodies.time.bar
    start = max(1, melodies.length - bar)
    paid[:, :1] = 3.0 * _TONIC[melodies.tokens[:, :1]]
    paid[:, start:] = 12.0 / bar * _TONIC[melodies.sounding[:, start:]]
    return paid


def repetition(melodies: Melodies, most: int = MOST_REPEATED) -> Floats:
    """-100 iff a note-on has n >= most, or n >= most + 2 if broken, or a note off has n >= 2.

    n, the equal tokens since the last note-on of another pitch, and broken: `repeats`.
    Corrects: a held note counted as a repeated one, so that long notes cost 100 a step; five equal
    notes were allowed where the text says four.
    """
    n, broken = paper.repeats(melodies)
    notes = melodies.note_on & (n >= np.where(broken, most + 2, most))
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


def motif(melodies: Melodies, fewest: int = MOTIF[0], most: int = MOTIF[1]) -> Floats:
    """At the end of each window: 3 + 0.3 (d - 3) if fewest <= d <= most, d its distinct pitches.

    Corrects: windows ended, and were paid, at every step, so that dense noise earned most. More
    than 5 pitches are no motif.
    """
    found = _is_motif(melodies, fewest, most)
    return np.where(found, 3 + 0.3 * (melodies.distinct_pitches - 3), 0.0)


def repeated_motif(melodies: Melodies, fewest: int = MOTIF[0], most: int = MOTIF[1]) -> Floats:
    """At the end of each window: 4 + (d - 3) for a motif that occurred before, at any step that
    leaves the two apart.

    Corrects the windows at every step, as `motif` does.
    """
    found = _is_motif(melodies, fewest, most) & melodies.window_repeats
    return np.where(found, 4.0 + (melodies.distinct_pitches - 3), 0.0)


def preferred_intervals(melodies: Melodies) -> Floats:
    """Reward of the interval to the last pitch, see `interval_value`; 0 without one.

    Corrects: silence after a C or G earned 1.5 a step, as if the note were held.
    """
    silent = before(melodies.sounding) == 0
    paid: Floats = _INTERVALS[silent.astype(np.int64), melodies.pitch_before, melodies.tokens]
    return paid


def leaps(melodies: Melodies, widest: int = WIDEST_LEAP) -> Floats:
    """A leap of a fifth or more opens, and is to be resolved: +5 for the first smaller interval
    that comes back to or beyond the pitch where it started.

    Until then another leap in its direction earns -5. A leap back opens in the other direction; it
    earns nothing itself, and +10 are paid when it is resolved. A leap of more than `widest`
    semitones earns -5, and opens anew.
    Corrects: a leap back was paid at once if it came late, and never had to be answered, so a
    melody that ended on one earned most.
    """
    tokens, previous, interval, leap, moves = paper.intervals(melodies)
    too_wide = np.abs(interval) > widest
    earned = np.zeros(tokens.shape, dtype=np.int8)
    direction = origin = np.zeros(tokens.shape[1], dtype=np.int8)
    owed = np.zeros(tokens.shape[1], dtype=np.int8)  # what the resolution pays, in units of 5
    for t in range(1, len(tokens)):
        meets = leap[t] * direction  # 1: leaps on, -1: leaps back
        returned = moves[t] & (direction != 0) & (direction * (tokens[t] - origin) <= 0)
        opened = (leap[t] != 0) & ((meets <= 0) | too_wide[t])
        earned[t] = owed * returned - (too_wide[t] | (meets == 1)).view(np.int8)
        owed = np.where(opened, np.where((meets < 0) & ~too_wide[t], 2, 1), owed).astype(np.int8)
        origin = np.where(opened, previous[t], origin)
        direction = np.where(opened, leap[t], direction * ~returned)
    return 5 * earned.T.astype(np.float64)


def unique_extremes(melodies: Melodies, widest: int = WIDEST_RANGE) -> Floats:
    """t = N-1: +3 if the highest note-on occurs once, +3 if the lowest does; 0 where they are more
    than `widest` semitones apart, and for an extreme that is the last note after a leap.

    Corrects: a melody without notes could earn +3 for its highest; a leap at the end earned both.
    """
    paid = melodies.zeros()
    if melodies.tokens.shape[1] < melodies.length:
        return paid
    tokens, note_on = melodies.tokens, melodies.note_on
    highest = np.where(note_on, tokens, 0).max(axis=1)
    lowest = np.where(note_on, tokens, TOKENS).min(axis=1)
    within = note_on.any(axis=1) & (highest - lowest <= widest)
    last = np.where(note_on, np.arange(tokens.shape[1]), 0).max(axis=1, initial=0)
    rows = np.arange(len(tokens))
    final, earlier = tokens[rows, last], melodies.pitch_before[rows, last]
    leapt = (earlier > 0) & (np.abs(final - earlier) >= paper.LEAP)
    for extreme, is_highest in ((highest, True), (lowest, False)):
        once = paper.occurs_once(tokens, highest=is_highest)
        paid[:, -1] += 3.0 * (within & once & ~(leapt & (final == extreme)))
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


def _is_motif(melodies: Melodies, fewest: int, most: int) -> Bools:
    d, window = melodies.distinct_pitches, melodies.window
    ends = np.arange(d.shape[1]) % window == window - 1
    found: Bools = (d >= fewest) & (d <= most) & ends
    return found


_INTERVALS = np.zeros((2, TOKENS, TOKENS))
for _p in range(FIRST_PITCH, TOKENS):
    for _silent in (False, True):
        _INTERVALS[int(_silent), _p] = [interval_value(_p, a, _silent) for a in range(TOKENS)]
