"""The features that a domain has by default."""

from __future__ import annotations

import subprocess
import sys
from zlib import crc32

import numpy as np
import pytest

from sequence_tutor.rewards.base import Domain, Identity
from sequence_tutor.rewards.melodies.domain import MelodyDomain
from sequence_tutor.rewards.ngrams import ngram_counts


class WordDomain(Domain):
    """Valid are all texts; each letter is an action."""

    name, encoding, example = "words", "words", "a"

    def identify(self, sequence: str) -> Identity:
        return Identity(sequence)


def test_a_domain_has_features_and_no_children_by_default() -> None:
    domain, random = WordDomain(), np.random.default_rng(0)
    assert not domain.breeds
    assert domain.mutate("ab", random) is None and domain.cross("ab", "cd", random) is None
    (counts,) = domain.features(["abab", "ba", ""])
    assert counts.shape == (3, 2048) and counts.dtype == np.uint8
    assert counts.sum(axis=1).tolist() == [4 + 3 + 2, 2 + 1, 0]


def test_counts_by_hand() -> None:
    (row,) = ngram_counts([["C4", "-", "C4", "-"]])
    runs = {"C4": 2, "-": 2, "C4\0-": 2, "-\0C4": 1, "C4\0-\0C4": 1, "-\0C4\0-": 1}
    expected = np.zeros(2048, np.uint8)
    for run, count in runs.items():
        expected[crc32(run.encode()) % 2048] += count
    assert np.array_equal(row, expected)


def test_tokens_are_not_run_together() -> None:
    one, other = ngram_counts([["ab", "c"], ["a", "bc"]])
    assert not np.array_equal(one, other)
    assert ngram_counts([["a"] * 1000]).max() == 255
    assert len(ngram_counts([])) == 0


def test_a_melody_is_nearer_to_its_variation_than_to_another() -> None:
    melody, varied, other = "C4---E4---G4---", "C4---E4---A4---", "F#5-F5-D#3-D5-.--"
    (counts,) = MelodyDomain().features([melody, varied, other])

    def likeness(i: int, j: int) -> float:
        return float(
            np.minimum(counts[i], counts[j]).sum() / np.maximum(counts[i], counts[j]).sum()
        )

    assert likeness(0, 1) > 2 * likeness(0, 2)


@pytest.mark.parametrize("seed", ["0", "1"])
def test_another_process_finds_the_same(seed: str) -> None:
    code = (
        "from sequence_tutor.rewards.ngrams import ngram_counts\n"
        "print(ngram_counts([list('KLAKLAK')]).tobytes().hex())"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": seed},
    )
    assert said.stdout.strip() == ngram_counts([list("KLAKLAK")]).tobytes().hex()
