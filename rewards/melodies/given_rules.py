"""Rules whose content the config gives: limits, a motif, chords. As the nine rules they return the
reward of each step, float64 [B,T]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sequence_tutor.rewards.melodies.chords import Chord
from sequence_tutor.rewards.melodies.melody import FIRST_PITCH, HOLD, Floats, Melodies
from sequence_tutor.rewards.melodies.spelling import TEXTS, parse


def interval_limit(melodies: Melodies, most: int) -> Floats:
    """-1 for a note more than `most` semitones from the note before."""
    tokens, earlier = melodies.tokens, melodies.pitch_before
    far = melodies.note_on & (earlier > 0) & (np.abs(tokens - earlier) > most)
    return np.where(far, -1.0, 0.0)


def pitch(name: str) -> int:
    """The token of a note such as "C4" or "F#3". Raises ValueError."""
    if name not in TEXTS[FIRST_PITCH:]:
        raise ValueError(f"{name!r} is no note from C3 to B5, such as C4 or F#4")
    return TEXTS.index(name)


def pitch_limits(melodies: Melodies, lowest: int, highest: int) -> Floats:
    """-1 for a note below or above the tokens of two notes."""
    tokens = melodies.tokens
    outside = melodies.note_on & ((tokens < lowest) | (tokens > highest))
    return np.where(outside, -1.0, 0.0)


def read_motif(text: str) -> np.ndarray:
    """The tokens of a motif, int64 [M]. Raises ValueError."""
    melody = parse(text)
    if melody is None:
        raise ValueError(f"motif = {text!r} is not a melody, such as C4-D4-E4---")
    if melody.tokens[0] < FIRST_PITCH or (melody.tokens >= FIRST_PITCH).sum() < 2:
        raise ValueError(f"motif = {text!r} must begin with a note and have two")
    return melody.tokens


def given_motif(melodies: Melodies, motif: np.ndarray, transposed: bool, most: int) -> Floats:
    """+1 at the last step of each occurrence of a motif, int64 [M], as long as there are no more
    than `most`. What begins within an occurrence isn't another one."""
    tokens, size = melodies.tokens, len(motif)
    paid = melodies.zeros()
    starts = tokens.shape[1] - size + 1
    if starts < 1:
        return paid
    found = np.ones((len(tokens), starts), bool)
    for i, wanted in enumerate(motif.tolist()):
        window = tokens[:, i : i + starts]
        if wanted < FIRST_PITCH:
            found &= window == wanted
        elif transposed:
            found &= (window >= FIRST_PITCH) & (window - tokens[:, :starts] == wanted - motif[0])
        else:
            found &= window == wanted
    for row in np.flatnonzero(found.any(axis=1)).tolist():
        after, count = 0, 0
        for start in np.flatnonzero(found[row]).tolist():
            if start >= after and count < most:
                paid[row, start + size - 1] = 1.0
                after, count = start + size, count + 1
    return paid


def strong_steps(melodies: Melodies) -> np.ndarray:
    """int64: the steps of the strong beats, the first of each bar and its middle, where a bar has
    an even number of beats."""
    time = melodies.time
    even = time.bar % (2 * time.beat) == 0
    return np.arange(0, melodies.tokens.shape[1], time.bar // 2 if even else time.bar)


def chord_tones(melodies: Melodies, bars: Sequence[Sequence[Chord]]) -> Floats:
    """+1 on a strong beat where a tone of the chord sounds, -1 where another tone does."""
    paid, bar = melodies.zeros(), melodies.time.bar
    for step in strong_steps(melodies).tolist():
        chords = bars[step // bar % len(bars)]
        chord = chords[step % bar * len(chords) // bar]
        sounding = melodies.sounding[:, step]
        tones = np.isin((sounding - FIRST_PITCH) % 12, list(chord))
        if chord:
            paid[:, step] = np.where(sounding > HOLD, np.where(tones, 1.0, -1.0), 0.0)
    return paid
