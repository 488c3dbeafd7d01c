"""The component `preference`: from a file of marks to values, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from sequence_tutor.rewards import score_one
from sequence_tutor.rewards.bradley_terry import learn
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.melodies.features import FEATURES
from sequence_tutor.rewards.melodies.spelling import read
from sequence_tutor.rewards.melodies.taste import features_of
from sequence_tutor.rewards.molecules.tasks.drugs import DRUGS
from sequence_tutor.rewards.pinned import pinned
from sequence_tutor.rewards.ratings import Rating, ratings_csv
from sequence_tutor.rewards.single import value_of

LIEDER = Path(__file__).parents[3] / "policies" / "priors" / "lieder" / "training.txt.gz"
MINE: dict[str, Any] = {"name": "preference", "file": "ratings.csv"}


@pytest.fixture(scope="module")
def songs() -> list[str]:
    with gzip.open(LIEDER, "rt") as file:
        lines = file.read().split()
    chosen = np.random.default_rng(0).choice(len(lines), 90, replace=False)
    return list(dict.fromkeys(lines[i] for i in chosen))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def steps(songs: Sequence[str]) -> np.ndarray:
    """What our person likes: the share of steps."""
    return np.array([FEATURES["step_share"].measure(read(text)) for text in songs])


def rated(texts: Sequence[str], values: np.ndarray, file: str = "ratings.csv") -> list[int]:
    """Write marks 1 to 5 by the rank of each text's value."""
    marks = (1 + values.argsort().argsort() * 5 // len(values)).tolist()
    pairs = zip(texts, marks, strict=True)
    Path(file).write_text(ratings_csv(Rating(text, mark) for text, mark in pairs))
    return marks


def config_of(*parts: dict[str, Any], **more: Any) -> RewardConfig:
    return RewardConfig.model_validate({"component": list(parts), **more})


def test_melodies_are_ranked_by_taste(place: Path, songs: list[str]):
    marks = rated(songs[:40], steps(songs[:40]))
    scores = build_reward(config_of(MINE), "melodies").score(songs[40:])
    assert not any(scores.errors)
    assert spearmanr(scores.rewards, steps(songs[40:]))[0] > 0.85
    # half of them in the order of the reward has more of what the person likes than the others
    order = np.argsort(-scores.rewards)
    best, worst = np.array_split(steps(songs[40:])[order], 2)
    assert best.mean() > worst.mean() + 0.2
    features = np.array([features_of(read(text)) for text in songs])
    taste = learn([features[:40]], [np.array(marks)])
    assert scores.rewards == pytest.approx(taste.utility(features[40:]), abs=1e-12)
    one = value_of("preference", songs[50], {"file": "ratings.csv"}, "melodies")
    assert one == scores.rewards[10]


def test_molecules_are_ranked_by_taste(place: Path):
    molecules = list(DRUGS.values())
    numbers = domain_of("smiles").properties(molecules)["log P"]
    rated(molecules[::2], numbers[::2])
    scores = build_reward(config_of(MINE)).score(molecules[1::2])
    assert spearmanr(scores.rewards, numbers[1::2])[0] > 0.6
    assert score_one("preference", molecules[1], file="ratings.csv") == scores.rewards[0]


def test_a_transform_takes_log_odds(place: Path, songs: list[str]):
    rated(songs[:40], steps(songs[:40]))
    plain = build_reward(config_of(MINE), "melodies").score(songs[40:]).rewards
    sigmoid = {"transform": {"type": "sigmoid", "low": -2.0, "high": 2.0}}
    bounded = config_of(MINE | sigmoid, aggregate="geometric_mean")
    rewards = build_reward(bounded, "melodies").score(songs[40:]).rewards
    order = np.argsort(plain)
    assert (np.diff(rewards[order]) >= 0).all() and rewards.max() - rewards.min() > 0.9


def test_the_marks_are_part_of_the_reward(place: Path, songs: list[str]):
    rated(songs[:40], steps(songs[:40]))
    config = pinned(config_of(MINE), "melodies")
    digest = hashlib.sha256(Path("ratings.csv").read_bytes()).hexdigest()
    assert config.component[0].options["sha256"] == digest
    before = build_reward(config, "melodies").score(songs[40:]).rewards
    assert (build_reward(config, "melodies").score(songs[40:]).rewards == before).all()
    rated(songs[:40], -steps(songs[:40]))  # the person has another taste now
    with pytest.raises(ValueError, match="isn't the file of this run") as error:
        build_reward(config, "melodies")
    assert "\n" not in str(error.value)
    other = pinned(config_of(MINE), "melodies")
    assert other.identity() != config.identity()
    assert spearmanr(build_reward(other, "melodies").score(songs[40:]).rewards, before)[0] < -0.8


def test_marks_of_several_files_are_not_compared(place: Path, songs: list[str]):
    """On another evening everything gets less, which says nothing."""
    kinder, stricter = songs[:20], songs[20:40]
    marks = rated(kinder, steps(kinder), "a.csv")
    low = [Rating(text, max(1, mark - 3)) for text, mark in zip(stricter, marks, strict=True)]
    Path("b.csv").write_text(ratings_csv(low))
    both = MINE | {"file": ["a.csv", "b.csv"]}
    found = build_reward(config_of(both), "melodies").score(songs[40:]).rewards
    features = np.array([features_of(read(text)) for text in songs])
    sets = [np.array(marks), np.array([one.mark for one in low])]
    taste = learn([features[:20], features[20:40]], sets)
    assert found == pytest.approx(taste.utility(features[40:]), abs=1e-12)
    config = pinned(config_of(both), "melodies")
    assert len(config.component[0].options["sha256"]) == 2
    Path("b.csv").write_text(ratings_csv([*low, Rating(songs[50], 5)]))
    with pytest.raises(ValueError, match=r"'b\.csv' isn't the file"):
        build_reward(config, "melodies")


def test_the_last_mark_of_a_sequence_counts(place: Path, songs: list[str]):
    rated(songs[:30], steps(songs[:30]))
    right = Path("ratings.csv").read_text()
    before = build_reward(config_of(MINE), "melodies").score(songs[40:]).rewards
    first = [Rating(text, 3) for text in songs[:30]]
    Path("ratings.csv").write_text(ratings_csv(first) + right.partition("\n")[2])
    assert (build_reward(config_of(MINE), "melodies").score(songs[40:]).rewards == before).all()


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("sequence,mark\nC4---,1\nD4---,2\n", {}, "has 1 pairs of unequal marks"),
        ("sequence,mark\n", {}, "needs at least 10: rate more with `sequence-tutor rate RUN`"),
        ("sequence,mark\nC4---,7\n", {}, "file = 'ratings.csv': line 2: mark '7' must be"),
        ("sequence,mark\nC4---,1\nH4---,2\n", {}, "line 3: 'H4---' is not a valid melody"),
        ("melody,mark\n", {}, "line 1 must name the columns"),
        ("sequence,mark\n", {"file": "none.csv"}, "file = 'none.csv' can't be read: No such"),
        ("sequence,mark\n", {"file": []}, "at least one file"),
        ("sequence,mark\n", {"sha256": ["a", "b"]}, "one text for each of the 1 files"),
        ("sequence,mark\n", {"file": 3}, "option 'file' of component 'preference'"),
    ],
)
def test_what_cannot_be_fitted_is_one_sentence(
    place: Path, content: str, options: dict[str, Any], words: str
):
    Path("ratings.csv").write_text(content)
    with pytest.raises(ValueError) as error:
        build_reward(config_of(MINE | options), "melodies")
    assert words in str(error.value) and "\n" not in str(error.value), str(error.value)
