"""Children of melodies."""

from __future__ import annotations

import numpy as np
import pytest

from sequence_tutor.rewards.base import Domain
from sequence_tutor.rewards.melodies.breeding import WIDEST, repeat_bar, transpose, vary_bar
from sequence_tutor.rewards.melodies.domain import MelodyDomain
from sequence_tutor.rewards.melodies.melody import FIRST_PITCH, Melody
from sequence_tutor.rewards.melodies.spelling import parse

DOMAIN: Domain = MelodyDomain()
FIRST = "C4---E4---G4---.---" + "C5-B4-A4-G4-F4-E4-D4---"
SECOND = "A3-------C#4-------" + "D4---" * 4 + "C3-" * 16
assert len(DOMAIN.split(FIRST)) == 32 and len(DOMAIN.split(SECOND)) == 64


def read(text: str) -> Melody:
    melody = parse(text)
    assert melody is not None
    return melody


def test_children_are_melodies_that_differ_from_their_parents() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        child = DOMAIN.mutate(FIRST, random)
        assert child is not None and DOMAIN.key(child) == child != FIRST
        assert len(DOMAIN.split(child)) == 32
        child = DOMAIN.cross(FIRST, SECOND, random)
        assert child is not None and DOMAIN.key(child) == child
        assert child not in (FIRST, SECOND) and len(DOMAIN.split(child)) == 64


def test_one_seed_gives_the_same_children() -> None:
    def made(seed: int) -> list[str | None]:
        random = np.random.default_rng(seed)
        return [DOMAIN.mutate(SECOND, random) for _ in range(20)]

    assert made(1) == made(1) != made(2)


def test_a_transposed_melody_keeps_its_intervals_and_the_range() -> None:
    random, parent = np.random.default_rng(1), read("C3---.---B4---C4---")
    melody, shifts = parent.tokens, set()
    for _ in range(300):
        child = transpose(parent, random)
        notes = melody >= FIRST_PITCH
        assert np.array_equal(child[~notes], melody[~notes])
        shifts |= set((child - melody)[notes].tolist())
    assert shifts == set(range(1, 13))  # from C3 to B4, of C3 to B5


@pytest.mark.parametrize("text", ["-" * 8, ".---" * 8, "C3---B5---"])
def test_what_cannot_be_transposed_stays(text: str) -> None:
    assert np.array_equal(transpose(read(text), np.random.default_rng(2)), read(text).tokens)


def test_a_varied_bar_leaves_the_others_alone() -> None:
    random, melody = np.random.default_rng(3), read(SECOND)
    bars = set()
    for _ in range(200):
        changed = np.flatnonzero(vary_bar(melody, random) != melody.tokens)
        assert len(changed) <= 3 and len({step // 16 for step in changed}) <= 1
        bars |= {int(step) // 16 for step in changed}
    assert bars == {0, 1, 2, 3}


def test_a_varied_note_stays_near() -> None:
    random, melody = np.random.default_rng(4), read("C3" * 16)
    for _ in range(100):
        child = vary_bar(melody, random)
        notes = child[child >= FIRST_PITCH]
        assert notes.max() <= FIRST_PITCH + 3 * WIDEST  # a step may be varied three times


def test_a_repeated_bar_is_a_bar_of_the_melody() -> None:
    random, parent = np.random.default_rng(5), read(SECOND)
    melody = parent.tokens
    bars = {melody[start : start + 16].tobytes() for start in range(0, 64, 16)}
    for _ in range(100):
        child = repeat_bar(parent, random)
        assert len(child) == len(melody)
        changed = {int(step) // 16 for step in np.flatnonzero(child != melody)}
        assert len(changed) <= 1
        whole = [child[start : start + 16] for start in range(0, 64, 16)]
        assert {bar.tobytes() for bar in whole} <= bars
        assert len(repeat_bar(Melody(melody[:-5]), random)) == len(melody) - 5


def test_a_cross_is_the_start_of_one_and_the_end_of_the_other() -> None:
    random, one, other = np.random.default_rng(6), "C4" * 64, "E4" * 64
    crossed = {DOMAIN.cross(one, other, random) for _ in range(100)}
    assert crossed == {"C4" * place + "E4" * (64 - place) for place in (16, 32, 48)}
    short = {DOMAIN.cross("C4" * 16, "E4" * 16, random) for _ in range(100)}
    assert short == {"C4" * place + "E4" * (16 - place) for place in (4, 8, 12)}


def test_children_keep_the_time_and_its_bars() -> None:
    random, one, other = np.random.default_rng(8), "3/4:" + "C4" * 48, "3/4:" + "E4" * 48
    crossed = {DOMAIN.cross(one, other, random) for _ in range(100)}
    assert crossed == {"3/4:" + "C4" * n + "E4" * (48 - n) for n in (12, 24, 36)}
    child = DOMAIN.mutate(one, random)
    assert child is not None and child.startswith("3/4:") and len(DOMAIN.split(child)) == 48
    assert DOMAIN.cross(one, "C4" * 48, random) is None  # in 4/4


def test_nothing_comes_of_what_cannot_breed() -> None:
    random = np.random.default_rng(7)
    assert DOMAIN.mutate("H4", random) is None and DOMAIN.cross("H4", FIRST, random) is None
    assert DOMAIN.cross(FIRST, FIRST, random) is None
    assert DOMAIN.cross("C4---", "E4---", random) is None  # no beat before the end
