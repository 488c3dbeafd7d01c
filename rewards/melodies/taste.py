"""What a person likes in melodies, as a component: their features, weighed by marks."""

from __future__ import annotations

import numpy as np

from sequence_tutor.rewards.melodies.features import FEATURES
from sequence_tutor.rewards.melodies.melody import Melody
from sequence_tutor.rewards.melodies.spelling import identify, read
from sequence_tutor.rewards.preference import Preferences, pin_marks
from sequence_tutor.rewards.registry import component


def features_of(melody: Melody) -> list[float]:
    """Its features, in the order of FEATURES."""
    return [feature.measure(melody) for feature in FEATURES.values()]


def _measure(text: str) -> list[float] | None:
    return None if identify(text).key is None else features_of(read(text))


PREFERENCES = Preferences(_measure, "melody")


@component(
    "preference",
    domain="melodies",
    check=PREFERENCES.check,
    pin=pin_marks,
    reference="Bradley and Terry 1952, https://doi.org/10.2307/2334029",
    example='file = "ratings.csv"',
)
def preference(
    melody: Melody, *, file: str | list[str], sha256: str | list[str] | None = None
) -> float:
    """How much you would like it, learned from your marks (`sequence-tutor rate`): log odds
    that you prefer it to the mean of those that you rated.

    A Bradley-Terry model of the 18 features. Two marks that differ say which of two melodies is
    preferred; 10 such pairs are needed. A feature beyond what you rated counts as the nearest that
    you did.

    file: CSV with the columns sequence and mark, 1 to 5; of several files, marks of the same file
    alone are compared.
    sha256: SHA-256 of each file; a run writes it into its config, and refuses a file that has
    changed.
    """
    taste = PREFERENCES.taste(file)
    return float(taste.utility(np.array(features_of(melody))))
