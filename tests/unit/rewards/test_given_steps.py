"""What melodies keep of a given one: gaps, rhythm and contour, and children that keep it."""

from __future__ import annotations

import numpy as np
import pytest

from sequence_tutor.rewards.base import Domain
from sequence_tutor.rewards.melodies.domain import MelodyDomain
from sequence_tutor.rewards.melodies.given_steps import GivenSteps
from sequence_tutor.rewards.melodies.spelling import parse
from sequence_tutor.rewards.molecules.domain import MoleculeDomain

DOMAIN: Domain = MelodyDomain()
MELODY = "C4---E4---G4---.---" + "C5-B4-A4-G4-E4-E4-D4---"
RANDOM_MELODIES = 400


def signs_of(**given: str) -> str:
    return DOMAIN.given_parts(**given).spelling.texts[0]


def test_what_is_taken_of_a_melody() -> None:
    assert signs_of(rhythm=MELODY) == "X---X---X---.---X-X-X-X-X-X-X---"
    assert signs_of(contour=MELODY) == "X---^---^---.---^-v-v-v-v-=-v---"
    assert signs_of(fill="C4-__") == "C4-__"
    assert signs_of(rhythm="3/4:-X-C4") == "3/4:-X-X"
    assert signs_of(contour="X-^.v=X") == "X-^.v=X"


def heights(text: str) -> list[tuple[int, int]]:
    """Step and pitch of each note."""
    melody = parse(text)
    assert melody is not None
    return [(start, pitch) for start, pitch, _ in melody.notes]


def test_a_melody_keeps_what_it_has() -> None:
    """Melodies near the given one have a rhythm or a contour exactly where their notes say so."""
    random = np.random.default_rng(0)
    rhythm, contour = DOMAIN.given_parts(rhythm=MELODY), DOMAIN.given_parts(contour=MELODY)
    given = heights(MELODY)
    rises = np.sign(np.diff([pitch for _, pitch in given]))
    kept = [0, 0]
    text = MELODY
    for i in range(RANDOM_MELODIES):
        text = DOMAIN.mutate(MELODY if i % 3 == 0 else text, random) or MELODY
        notes = heights(text)
        same_events = [c for c in text if c in ".-"] == [c for c in MELODY if c in ".-"]
        has_rhythm = same_events and [s for s, _ in notes] == [s for s, _ in given]
        has_contour = has_rhythm and np.array_equal(np.sign(np.diff([p for _, p in notes])), rises)
        assert (rhythm.spell(text) == text) == has_rhythm
        assert (contour.spell(text) == text) == has_contour
        kept[0] += has_rhythm and not has_contour
        kept[1] += has_contour
    assert min(kept) > 10
    assert rhythm.spell("3/4:" + MELODY) is None and rhythm.spell("H4") is None
    assert rhythm.spell(MELODY[:-1]) is None


@pytest.mark.parametrize(
    ("given", "parents"),
    [
        (
            {"fill": "C4---E4---________" + "C5-B4-A4-G4-E4-X-D4---"},
            (MELODY, "C4---E4---C4-C4-D4---C5-B4-A4-G4-E4-C5-D4---"),
        ),
        ({"rhythm": MELODY}, (MELODY, MELODY.replace("C5", "D3").replace("G4", "F#4"))),
        ({"contour": MELODY}, (MELODY, "C3---E3---F3---.---" + "B5-B4-A4-G4-E4-E4-C4---")),
    ],
)
def test_children_keep_what_is_given(given: dict[str, str], parents: tuple[str, str]) -> None:
    domain, parts = DOMAIN.keeping(given), DOMAIN.given_parts(**given)
    assert isinstance(parts, GivenSteps)
    random, free = np.random.default_rng(1), np.random.default_rng(1)
    assert all(parts.spell(parent) for parent in parents)
    mutants, crossed, broken = set(), set(), 0
    for _ in range(200):
        mutants.add(domain.mutate(parents[0], random))
        crossed.add(domain.cross(*parents, random))
        without = DOMAIN.mutate(parents[0], free)
        assert without is not None
        broken += parts.spell(without) is None
    children = (mutants | crossed) - {None}
    assert all(parts.spell(child) == child for child in children if child is not None)
    assert len(mutants) > 20 and broken > 50  # without it most don't keep it
    assert crossed - {None} and not crossed & set(parents)


def test_children_of_melodies_without_the_parts() -> None:
    domain, random = DOMAIN.keeping({"rhythm": MELODY}), np.random.default_rng(2)
    assert domain.mutate("C4---" * 8, random) is None
    assert domain.mutate("C4---" * 4, random) is None
    assert DOMAIN.keeping({"start": "C4"}).mutate(MELODY, random) is not None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fill": "C4---"}, "fill has no gap: write _ at each step"),
        ({"fill": ""}, "fill = '' is not a melody"),
        ({"fill": "C4_C9"}, r"at character 4 of its steps: 'C9'; notes are C3 to B5"),
        ({"fill": "5/3:C4_"}, "5/3 is not a metre"),
        ({"rhythm": "----"}, "rhythm has no note"),
        ({"rhythm": "X-_"}, r"rhythm can't have '_' \(step 3\)"),
        ({"contour": "C4---"}, "contour needs two notes"),
        ({"contour": "C4^"}, "but not both"),
        ({"contour": "X_^"}, r"contour can't have '_' \(step 2\)"),
        ({"scaffold": "C"}, "melodies have no scaffold; give start, fill, rhythm or contour"),
    ],
)
def test_mistakes(given: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DOMAIN.given_parts(**given)


def test_molecules_have_no_steps() -> None:
    for key in ("fill", "rhythm", "contour"):
        with pytest.raises(ValueError, match=f"molecules have no {key}; give scaffold, fragments"):
            MoleculeDomain().given_parts(**{key: "C"})
