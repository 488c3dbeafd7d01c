"""The Bradley-Terry model against scikit-learn, and against people whose taste is known."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression

from sequence_tutor.rewards.bradley_terry import PENALTIES, fit, learn, pairs_of
from sequence_tutor.rewards.melodies.features import FEATURES
from sequence_tutor.rewards.melodies.spelling import read
from sequence_tutor.rewards.melodies.taste import features_of

LIEDER = Path(__file__).parents[3] / "policies" / "priors" / "lieder" / "training.txt.gz"


@pytest.fixture(scope="module")
def songs() -> np.ndarray:
    """Features of 400 real melodies, [400,18]."""
    with gzip.open(LIEDER, "rt") as file:
        lines = file.read().split()
    chosen = np.random.default_rng(0).choice(len(lines), 400, replace=False)
    return np.array([features_of(read(lines[i])) for i in chosen])


def liking(features: np.ndarray) -> np.ndarray:
    """The utility of a person who likes steps and few notes; its standard deviation is 1.5."""
    names = list(FEATURES)
    z = (features - features.mean(0)) / features.std(0)
    found = 1.2 * z[:, names.index("step_share")] - 0.8 * z[:, names.index("notes_per_bar")]
    return 1.5 * found / found.std()


def marks_of(utility: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """Marks 1 to 5, as many of each, of a person who isn't sure."""
    felt = utility + np.random.default_rng(seed).normal(0.0, noise, len(utility))
    return np.digitize(felt, np.quantile(felt, [0.2, 0.4, 0.6, 0.8])) + 1


@pytest.mark.parametrize("penalty", [0.1, 1.0, 30.0])
def test_the_fit_is_that_of_logistic_regression(penalty: float):
    random = np.random.default_rng(1)
    differences = random.normal(size=(120, 6)) @ random.normal(size=(6, 6)) + 0.3
    # scikit-learn needs both classes; a pair the other way round says the same
    signs = np.where(np.arange(120) % 2, 1.0, -1.0)
    other = LogisticRegression(C=1 / penalty, fit_intercept=False, tol=1e-12, max_iter=10_000)
    other.fit(differences * signs[:, None], signs)
    assert np.abs(fit(differences, penalty) - other.coef_[0]).max() < 1e-5
    far = fit(differences, penalty, np.full(6, 30.0))
    assert far == pytest.approx(fit(differences, penalty), abs=1e-8)


def test_the_fit_needs_a_penalty():
    with pytest.raises(ValueError, match="above 0"):
        fit(np.ones((3, 2)), 0.0)


def test_pairs_are_of_one_set():
    found = pairs_of([np.array([3, 1, 3]), np.array([5, 2])])
    assert sorted(map(tuple, found.tolist())) == [(0, 1), (2, 1), (3, 4)]
    assert pairs_of([np.array([2, 2])]).shape == (0, 2)
    with pytest.raises(ValueError, match="no pair"):
        learn([np.ones((2, 3))], [np.array([2, 2])])


def test_a_known_taste_is_found(songs: np.ndarray):
    """Rank correlation on melodies that weren't rated."""
    truth = liking(songs)
    found = []
    for seed in range(5):
        rated, others = np.split(np.random.default_rng(seed).permutation(len(songs)), [40])
        taste = learn([songs[rated]], [marks_of(truth[rated], 0.4, seed)])
        assert taste.right > 0.85
        found.append(spearmanr(taste.utility(songs[others]), truth[others])[0])
        # the zero is the mean rated one
        assert taste.utility(songs[rated]).mean() == pytest.approx(0.0, abs=1e-9)
    assert min(found) > 0.85 and np.mean(found) > 0.9, found


def test_marks_at_random_teach_nothing(songs: np.ndarray):
    random = np.random.default_rng(3)
    tastes = [learn([songs[:60]], [random.integers(1, 6, 60)]) for _ in range(8)]
    known = learn([songs[:60]], [marks_of(liking(songs)[:60], 0.4, 0)])
    assert np.median([taste.penalty for taste in tastes]) >= 100.0
    assert np.mean([taste.right for taste in tastes]) == pytest.approx(0.5, abs=0.1)
    spread = np.median([taste.utility(songs).std() for taste in tastes])
    assert spread < 0.3 * known.utility(songs).std() and known.right > 0.85


def test_log_odds_are_calibrated(songs: np.ndarray):
    """A person chooses the first of two with probability 1 / (1 + exp(-difference)); what the fit
    says of new pairs is as likely as it says."""
    random, truth = np.random.default_rng(0), liking(songs)
    tables, marks = [], []
    for first, second in random.integers(0, 200, (1000, 2)):  # a set for each choice
        won = random.random() < 1 / (1 + np.exp(truth[second] - truth[first]))
        tables.append(songs[[first, second]])
        marks.append(np.array([2, 1]) if won else np.array([1, 2]))
    taste = learn(tables, marks)
    utility = taste.utility(songs[200:])
    assert np.polyfit(utility, truth[200:], 1)[0] == pytest.approx(1.0, abs=0.25)


def test_beyond_what_was_rated_nothing_is_known():
    features = np.array([[0.0, 7.0], [1.0, 7.0], [2.0, 7.0], [3.0, 7.0]])
    taste = learn([features], [np.array([1, 2, 3, 5])])
    at = taste.utility(np.array([[0.0, 7.0], [3.0, 7.0], [-9.0, 7.0], [99.0, 0.0]]))
    assert at[0] < 0 < at[1] and at[2] == at[0] and at[3] == at[1]
    assert taste.weights[1] == 0.0  # a feature that never varied
    assert taste.penalty in PENALTIES


def test_a_utility_does_not_depend_on_its_batch(songs: np.ndarray):
    taste = learn([songs[:30]], [marks_of(liking(songs)[:30], 0.4, 0)])
    whole = taste.utility(songs)
    assert all(taste.utility(row) == value for row, value in zip(songs, whole, strict=True))
