"""Overlapping areas against SciPy's density estimates, and data with a high or a low overlap."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist
from scipy.stats import gaussian_kde

from sequence_tutor.rewards.melodies.overlap import (
    feature_overlap,
    features,
    overlap_metrics,
    overlapping_area,
)

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(0, 38, (600, 32))


@pytest.fixture(scope="module")
def lieder() -> np.ndarray:
    path = DATA / "lieder_cc0_windows32.npz"
    if not path.exists() and not os.environ.get("CI"):
        pytest.skip("shared/data/lieder_cc0_windows32.npz is missing")
    return np.asarray(np.load(path)["tokens"])


def plain(p: np.ndarray, q: np.ndarray) -> float:
    """The same area with SciPy's estimator on a fine grid."""
    x = np.linspace(min(p.min(), q.min()) - 5, max(p.max(), q.max()) + 5, 20_001)
    density = np.minimum(gaussian_kde(p)(x), gaussian_kde(q)(x))
    return float(density.sum() * (x[1] - x[0]))


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0, 6.0])
def test_area_agrees_with_scipys_estimator(shift: float) -> None:
    p, q = RANDOM.normal(0, 1, 150), RANDOM.normal(shift, 1.5, 90)
    area = overlapping_area(p, q)
    assert area == pytest.approx(plain(p, q), abs=1e-3)
    assert area == pytest.approx(overlapping_area(q, p))


def test_features_use_the_distances_of_the_source() -> None:
    sample, data = RANDOM.random((30, 12)), RANDOM.random((30, 12)) ** 2
    intra = np.repeat(pdist(data), 2)
    expected = plain(intra, cdist(sample, data).ravel())
    assert feature_overlap(sample, data) == pytest.approx(expected, abs=1e-3)


def test_area_of_distances_that_are_all_equal() -> None:
    ones, twos = np.ones(10), np.full(10, 2.0)
    assert overlapping_area(ones, ones) == 1.0
    assert overlapping_area(ones, ones + 1e-15) == 1.0
    assert overlapping_area(ones, twos) == pytest.approx(0.0, abs=1e-6)
    assert overlapping_area(ones, RANDOM.random(1000)) < 0.05
    assert overlapping_area(np.zeros(1), np.zeros(1)) == 1.0


def test_halves_of_real_melodies_overlap_and_noise_does_not(lieder: np.ndarray) -> None:
    halves = overlap_metrics(lieder[::2], lieder[1::2])
    noise = overlap_metrics(NOISE, lieder)
    assert min(halves.values()) > 0.9
    assert all(noise[name] < halves[name] - 0.2 for name in halves), noise
    assert noise["overlap_pitch_range"] < 0.1


def test_a_set_overlaps_with_itself(lieder: np.ndarray) -> None:
    assert min(overlap_metrics(lieder, lieder).values()) > 0.93
    constant = np.tile([14, 0, 16, 0], (50, 8))
    assert set(overlap_metrics(constant, constant).values()) == {1.0}


def test_random_pitches_lower_only_the_overlap_of_pitches(lieder: np.ndarray) -> None:
    data, sample = lieder[1::2], lieder[::2].copy()
    notes = sample >= 2
    sample[notes] = RANDOM.integers(2, 38, notes.sum())
    numbers = overlap_metrics(sample, data)
    assert numbers["overlap_note_length"] > 0.9
    assert numbers["overlap_note_length_transitions"] > 0.9
    assert numbers["overlap_pitch_range"] < 0.2


def test_silence_overlaps_only_with_silence(lieder: np.ndarray) -> None:
    silence = np.zeros((50, 32), dtype=int)
    beside_music = overlap_metrics(silence, lieder)
    assert all(0 <= value < 0.1 for value in beside_music.values())
    assert set(overlap_metrics(silence, silence).values()) == {1.0}


def test_too_few_melodies_have_no_overlap() -> None:
    for sample, data in ((NOISE[:0], NOISE), (NOISE, NOISE[:0]), (NOISE, NOISE[:1])):
        assert all(math.isnan(v) for v in overlap_metrics(sample, data).values())
    assert not any(math.isnan(v) for v in overlap_metrics(NOISE[:2], NOISE).values())


def test_features_by_hand() -> None:
    # C for 3 steps, D for 2, a rest, C an octave up for 1, E to the end, 9 steps
    tokens = np.array([[14, 0, 0, 16, 0, 1, 26, 18, *[0] * 8], [14, *[0] * 15], [0] * 16])
    found = features(tokens)
    assert found["pitch_class"][0].tolist() == [0.5, 0, 0.25, 0, 0.25, *[0] * 7]
    assert found["note_length"][0].tolist() == [0.25, 0.25, 0.25, 0, 0, 0, 0.25, 0]
    assert found["note_length"][1].tolist() == [0, 0, 0, 0, 0, 0, 0, 1]
    assert found["pitch_range"][:2, 0].tolist() == [12, 0]
    pitches = found["pitch_transitions"][0].reshape(12, 12)
    assert np.argwhere(pitches).tolist() == [[0, 2], [0, 4], [2, 0]]
    assert pitches[0, 2] == pytest.approx(1 / 3)
    lengths = found["note_length_transitions"][0].reshape(8, 8)
    assert np.argwhere(lengths).tolist() == [[0, 6], [1, 0], [2, 1]]
    assert np.isnan(found["pitch_transitions"][1]).all()  # one note, no transition
    assert all(np.isnan(values[2]).all() for values in found.values())
