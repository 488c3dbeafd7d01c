"""Statistics of single melodies: pitches, scale, rhythm. They use no rule and no data set.

The definitions are those of muspy 0.5.0 (Dong et al. 2020, "MusPy: a toolkit for symbolic music
generation"), with one difference: groove consistency compares whole bars only. muspy always adds
one more bar, so it compares the last bar of a melody that fills its bars with an empty one.
"""

from __future__ import annotations

import numpy as np

from sequence_tutor.rewards.melodies.melody import C_MAJOR, FIRST_PITCH
from sequence_tutor.rewards.melodies.notes import (
    PITCHES,
    Notes,
    find_notes,
    mean,
)
from sequence_tutor.rewards.melodies.time import COMMON, Time

# [root, pitch class]; a natural minor scale has the notes of a major one, so these are all 24
SCALES = np.stack(
    [np.isin(np.arange(12) - root, (*C_MAJOR, *(c - 12 for c in C_MAJOR))) for root in range(12)]
)


def note_metrics(tokens: np.ndarray, time: Time = COMMON) -> dict[str, float]:
    """Means of `note_statistics` over the melodies for which each is defined."""
    return {name: mean(values) for name, values in note_statistics(tokens, time).items()}


def note_statistics(tokens: np.ndarray, time: Time = COMMON) -> dict[str, np.ndarray]:
    """int [B,T] -> float64 [B] per key. NaN for a melody without notes, but for those marked *.

    notes_per_melody*: note-ons
    mean_note_length: steps a note sounds
    rest_share*: steps in silence / steps
    pitch_range: highest - lowest pitch, semitones
    pitches_used*, pitch_classes_used*: number of different ones
    pitch_entropy, pitch_class_entropy: -sum_i p_i log2 p_i over shares of notes, bits
    scale_consistency: notes in the best fitting major or minor scale / notes
    pitch_in_c_major: notes in C major / notes
    groove_consistency: see `groove_consistency`
    empty_beat_rate: see `empty_beat_rate`
    """
    notes, steps = find_notes(tokens), tokens.shape[1]
    pitches = notes.count(notes.pitch, PITCHES)
    classes = notes.count(notes.pitch % 12, 12)
    count = pitches.sum(1)
    per_note = 1.0 / np.where(count > 0, count, np.nan)
    sounding = np.bincount(notes.melody, notes.length, minlength=notes.melodies)
    used = pitches > 0
    lowest, above = used.argmax(1), used[:, ::-1].argmax(1)
    in_scale = classes @ SCALES.T * per_note[:, None]
    return {
        "notes_per_melody": count.astype(np.float64),
        "mean_note_length": sounding * per_note,
        "rest_share": 1.0 - sounding / steps,
        "pitch_range": np.where(count > 0, PITCHES - 1.0 - above - lowest, np.nan),
        "pitches_used": used.sum(1, dtype=np.float64),
        "pitch_classes_used": (classes > 0).sum(1, dtype=np.float64),
        "pitch_entropy": _entropy(pitches * per_note[:, None]),
        "pitch_class_entropy": _entropy(classes * per_note[:, None]),
        "scale_consistency": in_scale.max(1),
        "pitch_in_c_major": in_scale[:, 0],
        "groove_consistency": groove_consistency(tokens, time.bar),
        "empty_beat_rate": empty_beat_rate(notes, steps, time.beat),
    }


def groove_consistency(tokens: np.ndarray, bar: int) -> np.ndarray:
    """1 - mean share of steps where a note starts in one of two neighbouring bars and not in both.

    int [B,T] -> float64 [B] over the T // bar whole bars; bar: steps of one. NaN without notes or
    with fewer than two bars. Source: Wu & Yang 2020, "The Jazz Transformer on the front line".
    """
    melodies, bars = len(tokens), tokens.shape[1] // bar
    ons = tokens[:, : bars * bar] >= FIRST_PITCH
    if bars < 2:
        return np.full(melodies, np.nan)
    pattern = ons.reshape(melodies, bars, bar)
    same = (pattern[:, 1:] == pattern[:, :-1]).mean((1, 2))
    return np.where((tokens >= FIRST_PITCH).any(1), same, np.nan)


def empty_beat_rate(notes: Notes, steps: int, beat: int) -> np.ndarray:
    """Beats (of `beat` steps) that no note touches / beats up to the last note's end: float64 [B].

    As in muspy a note touches the beats from its first step to its end, which is the step after its
    last one; so a note that fills a beat touches the next one too, and there are end // beat + 1
    beats. NaN without notes.
    """
    beats = steps // beat + 2
    last = (notes.start + notes.length) // beat
    opened = notes.count(notes.start // beat, beats)
    closed = notes.count(last + 1, beats)
    touched = (opened - closed).cumsum(1) > 0
    total = np.where(touched.any(1), beats - touched[:, ::-1].argmax(1), np.nan)
    rate: np.ndarray = 1.0 - touched.sum(1) / total
    return rate


def _entropy(shares: np.ndarray) -> np.ndarray:
    """-sum_i p_i log2 p_i with 0 log 0 = 0: float64 [B,K] -> [B], NaN where p is."""
    logs = np.log2(shares, where=shares > 0, out=np.zeros_like(shares))
    entropy: np.ndarray = 0.0 - (shares * logs).sum(1)  # never -0.0
    return entropy
