"""Numbers that describe a whole melody, each defined for any melody: 0 where there is nothing to
count. They are components, and the bundle `human_range` holds them to the range of real melodies.

Definitions after Dong et al. 2020, "MusPy: a toolkit for symbolic music generation" (entropies,
key), and Yang & Lerch 2020, "On the evaluation of generative models in music" (intervals, ranges).
"""

from __future__ import annotations

import gzip
import math
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sequence_tutor.rewards.melodies.melody import C_MAJOR, Melody
from sequence_tutor.rewards.melodies.spelling import parse

STEP, LEAP = 2, 7  # semitones: a whole tone at most is a step, a fifth or more a leap


class Feature(NamedTuple):
    """One feature."""

    measure: Callable[[Melody], float]
    """Its value."""
    least: float
    """Lower limit of the values."""
    most: float
    """Upper limit of the values."""


def notes_per_bar(melody: Melody) -> float:
    """Notes that start, per bar."""
    return len(melody.notes) * melody.time.bar / len(melody.tokens)


def mean_note_length(melody: Melody) -> float:
    """Mean length of a note, in quarter notes."""
    return _mean(length for _, _, length in melody.notes) / melody.time.grid


def note_length_entropy(melody: Melody) -> float:
    """Entropy of the lengths of notes, in bits."""
    return _entropy(length for _, _, length in melody.notes)


def rest_share(melody: Melody) -> float:
    """Share of the time in which no note sounds."""
    return 1.0 - sum(length for _, _, length in melody.notes) / len(melody.tokens)


def on_beat_share(melody: Melody) -> float:
    """Share of the notes that start on a beat."""
    return _share(start % melody.time.beat == 0 for start, _, _ in melody.notes)


def syncopation_share(melody: Melody) -> float:
    """Share of the notes that start off the beat and sound into the next one."""
    beat = melody.time.beat
    return _share(
        bool(start % beat) and start % beat + length > beat for start, _, length in melody.notes
    )


def bar_similarity(melody: Melody) -> float:
    """Share of the steps in which two neighbouring bars both have a note start, or both have none,
    averaged over all pairs; 0 with one bar."""
    bar = melody.time.bar
    count = len(melody.tokens) // bar
    if count < 2:
        return 0.0
    starts = (melody.tokens[: count * bar] >= 2).reshape(count, bar)
    return float((starts[1:] == starts[:-1]).mean())


def mean_pitch(melody: Melody) -> float:
    """Mean pitch of the notes, as MIDI number: 60 is C4."""
    return _mean(pitch for _, pitch, _ in melody.notes)


def pitch_range(melody: Melody) -> float:
    """Semitones from the lowest to the highest note."""
    pitches = [pitch for _, pitch, _ in melody.notes]
    return float(max(pitches) - min(pitches)) if pitches else 0.0


def pitches_used(melody: Melody) -> float:
    """Number of different pitches."""
    return float(len({pitch for _, pitch, _ in melody.notes}))


def pitch_entropy(melody: Melody) -> float:
    """Entropy of the pitches of notes, in bits."""
    return _entropy(pitch for _, pitch, _ in melody.notes)


def pitch_class_entropy(melody: Melody) -> float:
    """Entropy of the pitch classes of notes, in bits."""
    return _entropy(pitch % 12 for _, pitch, _ in melody.notes)


def in_key_share(melody: Melody) -> float:
    """Share of the notes in C major, which are those of A minor."""
    return _share(pitch % 12 in C_MAJOR for _, pitch, _ in melody.notes)


def mean_interval(melody: Melody) -> float:
    """Mean distance between neighbouring notes, in semitones."""
    return _mean(map(abs, _intervals(melody)))


def largest_interval(melody: Melody) -> float:
    """Greatest distance between neighbouring notes, in semitones."""
    return float(max(map(abs, _intervals(melody)), default=0))


def step_share(melody: Melody) -> float:
    """Share of the intervals of one or two semitones."""
    return _share(1 <= abs(interval) <= STEP for interval in _intervals(melody))


def repeated_note_share(melody: Melody) -> float:
    """Share of the intervals between equal notes."""
    return _share(interval == 0 for interval in _intervals(melody))


def turn_share(melody: Melody) -> float:
    """Share of the pairs of intervals, those between equal notes left out, that change the
    direction."""
    moves = [interval for interval in _intervals(melody) if interval]
    return _share(a * b < 0 for a, b in zip(moves, moves[1:], strict=False))


# Name -> feature, in the order in which people look at them.
FEATURES: dict[str, Feature] = {
    measure.__name__: Feature(measure, least, most)
    for measure, least, most in (
        (notes_per_bar, 0.0, math.inf),
        (mean_note_length, 0.0, math.inf),
        (note_length_entropy, 0.0, math.inf),
        (rest_share, 0.0, 1.0),
        (on_beat_share, 0.0, 1.0),
        (syncopation_share, 0.0, 1.0),
        (bar_similarity, 0.0, 1.0),
        (mean_pitch, 0.0, 127.0),
        (pitch_range, 0.0, 127.0),
        (pitches_used, 0.0, 128.0),
        (pitch_entropy, 0.0, 7.0),
        (pitch_class_entropy, 0.0, 4.0),
        (in_key_share, 0.0, 1.0),
        (mean_interval, 0.0, 127.0),
        (largest_interval, 0.0, 127.0),
        (step_share, 0.0, 1.0),
        (repeated_note_share, 0.0, 1.0),
        (turn_share, 0.0, 1.0),
    )
}


# The 5th and the 95th percentile over the windows that the prior `lieder` learned from
# (`bands_of("policies/priors/lieder/training.txt.gz", 5, 95)`).
LIEDER_BANDS: dict[str, tuple[float, float]] = {
    "notes_per_bar": (1.5, 6.0),
    "mean_note_length": (0.5833, 2.0),
    "note_length_entropy": (0.5917, 2.1219),
    "rest_share": (0.0, 0.375),
    "on_beat_share": (0.5, 1.0),
    "syncopation_share": (0.0, 0.0),
    "bar_similarity": (0.625, 1.0),
    "mean_pitch": (59.1429, 72.6667),
    "pitch_range": (2.0, 13.0),
    "pitches_used": (2.0, 7.0),
    "pitch_entropy": (0.9183, 2.75),
    "pitch_class_entropy": (0.9183, 2.6877),
    "in_key_share": (0.5, 1.0),
    "mean_interval": (0.5714, 4.4286),
    "largest_interval": (2.0, 12.0),
    "step_share": (0.0, 0.875),
    "repeated_note_share": (0.0, 0.6667),
    "turn_share": (0.0, 1.0),
}


def bands_of(path: str, low: float, high: float) -> dict[str, tuple[float, float]]:
    """Each feature's `low`th and `high`th percentile over the melodies of a text file, one a line,
    packed with gzip or not. Raises ValueError with one sentence."""
    if not 0 <= low < high <= 100:
        raise ValueError(f"low = {low:g} and high = {high:g} must be percentiles, low below high")
    melodies = list(_melodies(path))
    if len(melodies) < 20:
        raise ValueError(f"{path} has {len(melodies)} melodies; percentiles need at least 20")
    found = {}
    for name, feature in FEATURES.items():
        values = [feature.measure(melody) for melody in melodies]
        least, most = np.percentile(values, (low, high)).tolist()
        found[name] = (least, most)
    return found


def _melodies(path: str) -> Iterable[Melody]:
    file = Path(path)
    opened = gzip.open if file.suffix == ".gz" else open
    try:
        with opened(file, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not (text := line.strip()):
                    continue
                if (melody := parse(text)) is None:
                    raise ValueError(f"{path}, line {number}: {text[:40]!r} is not a melody")
                yield melody
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"corpus {path} can't be read: {error}") from error


def _intervals(melody: Melody) -> list[int]:
    notes = melody.notes
    return [b[1] - a[1] for a, b in zip(notes, notes[1:], strict=False)]


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known) if known else 0.0


def _share(flags: Iterable[bool]) -> float:
    return _mean(map(float, flags))


def _entropy(values: Iterable[int]) -> float:
    counts = Counter(values)
    total = sum(counts.values())
    # never -0.0
    return 0.0 - sum(n / total * math.log2(n / total) for n in counts.values())
