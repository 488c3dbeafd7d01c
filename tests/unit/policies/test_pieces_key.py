from __future__ import annotations

import numpy as np
import pytest

from sequence_tutor.policies.pieces.key import (
    MAJOR,
    MINOR,
    correlations,
    octave_fit,
    pitch_classes,
    scale,
    shift_to_c,
)
from sequence_tutor.policies.pieces.piece import Note

# Twinkle, twinkle, little star in C major; the start of a lament in A harmonic minor
STAR = [60, 60, 67, 67, 69, 69, 67, 65, 65, 64, 64, 62, 62, 60]
LAMENT = [69, 71, 72, 76, 74, 72, 71, 69, 68, 69, 65, 64, 69]


def histogram(pitches: list[int], shift: int = 0) -> np.ndarray:
    return pitch_classes(Note(p + shift, i, i + 1) for i, p in enumerate(pitches))


def test_sounding_time_by_pitch_class():
    found = pitch_classes([Note(60, 0, 4), Note(72, 4, 5), Note(71, 8, 8.5)])
    assert found.tolist() == [5, *[0] * 10, 0.5]


def test_correlations_are_pearsons():
    weights = np.random.default_rng(0).random(12)
    for k, found in enumerate(correlations(weights)):
        # from each scale's own tonic, which comes first in its profile
        major = np.corrcoef([weights[(k + i) % 12] for i in range(12)], MAJOR)[0, 1]
        minor = np.corrcoef([weights[(k + 9 + i) % 12] for i in range(12)], MINOR)[0, 1]
        assert found == pytest.approx(max(major, minor))
    assert correlations(np.ones(12)).tolist() == [0] * 12


@pytest.mark.parametrize("pitches", [STAR, LAMENT])
@pytest.mark.parametrize("shift", range(12))
def test_the_key_is_found_in_every_transposition(pitches: list[int], shift: int):
    assert scale(histogram(pitches, shift)) == shift
    assert (shift + shift_to_c(shift)) % 12 == 0 and -6 <= shift_to_c(shift) <= 5


def test_a_tune_around_the_dominant_keeps_its_key():
    tune = histogram([67, 71, 74, 71, 67, 69, 71, 74, 67, 65, 64, 67])
    assert correlations(tune).argmax() == 7  # G major by correlation alone, in spite of its F
    assert scale(tune) == 0


def test_a_key_signature_counts_unless_it_is_far_off():
    pentatonic = histogram([60, 62, 64, 67, 69])  # of C, F and G major alike
    assert [scale(pentatonic, signature) for signature in (0, 5, 7)] == [0, 5, 7]
    assert scale(pentatonic, 6) != 6
    # E flat major with the signature of C, which programs without key signatures write
    assert scale(histogram(STAR, 3), 0) == 3


@pytest.mark.parametrize(
    ("pitches", "shift"),
    [
        ([60, 72], 0),
        ([40, 47], 12),
        ([84, 95], -12),
        ([24], 24),
        ([127], -48),
        ([48, 83], 0),
        ([36, 83], 0),  # no shift fits more, so none is made
        ([30, 42, 50, 70], 12),
        ([], 0),
    ],
)
def test_octave_fit_keeps_most_notes_in_range(pitches: list[int], shift: int):
    assert octave_fit(pitches) == shift
