"""Hand-made melodies with violations that are known from the text of the rules."""

from __future__ import annotations

import pytest

from sequence_tutor.rewards.melodies.depicting.broken_rules import (
    Broken,
    broken_rules,
    readable,
    remarks,
)
from sequence_tutor.rewards.melodies.rules import RULE_NAMES, Profile
from sequence_tutor.rewards.melodies.spelling import parse


def broken(text: str, profile: Profile = "corrected") -> list[Broken]:
    melody = parse(text)
    assert melody is not None
    return broken_rules(melody, profile)


def places(text: str, profile: Profile = "corrected") -> list[tuple[str, int, int | None]]:
    return [(one.rule, one.step, one.note) for one in broken(text, profile)]


REST = "-" * 12


@pytest.mark.parametrize(
    ("text", "expected", "words"),
    [
        ("C4---F#4---G4---C5---", ("key", 4, 1), "outside C major and A minor"),
        ("C4C4C4C4C4" + REST, ("repetition", 4, 4), "the same note for the 5th time"),
        ("C4-..." + REST, ("repetition", 4, None), "a note off after two others"),
        (
            "C3---G3---D4---",
            ("leaps", 8, 2),
            "leap of 7 semitones up before an earlier one is resolved",
        ),
        ("C4---B4---", ("preferred_intervals", 4, 1), "jump of 11 semitones"),
        ("-D5--.B3-----", ("preferred_intervals", 5, 1), "jump of 15 semitones"),
        ("-D5--.B3-----", ("leaps", 5, 1), "leap of 15 semitones down"),
    ],
)
def test_a_violation_is_found_at_its_note(text: str, expected: tuple, words: str):
    (one,) = [one for one in broken(text) if one.rule == expected[0]]
    assert (one.rule, one.step, one.note) == expected and one.words == words


def test_a_melody_that_keeps_the_rules_breaks_none():
    assert broken("C4---D4---E4---.---") == []
    assert broken("-D4--.E3-----") == []  # a jump of 10 semitones is none of those that cost
    assert remarks([]) == []


def test_profiles_differ_as_their_rules_do():
    # a leap of more than an octave costs in the corrected rules alone
    wide = "C4-F#5-C4-G4-"
    assert ("leaps", 2, 1) in places(wide)
    assert all(rule != "leaps" for rule, _, _ in places(wide, "paper"))
    # the sixth hold and all after it cost in the paper's rules: one note, named once
    held = "D4" + "-" * 9
    assert places(held) == []
    found = [one for one in broken(held, "paper") if one.rule == "repetition"]
    assert [(one.step, one.note, one.words) for one in found] == [(6, 0, "held for too long")]


def test_the_rule_about_the_whole_melody_marks_no_note():
    rising = "C4D4E4F4G4A4B4C5" + REST
    assert places(rising) == [("autocorrelation", 19, None)]
    assert remarks(broken(rising)) == [
        "autocorrelation: the whole melody, since its pitches correlate with those 1 to 3 notes "
        "before"
    ]
    # the paper's rule costs at many steps and is one remark all the same
    paper = [one for one in broken(rising, "paper") if one.rule == "autocorrelation"]
    assert len(paper) == 1 and paper[0].note is None


def test_remarks_count_notes_and_name_bars():
    text = "C4---------------" + "F#4---G4-----------" * 2
    assert remarks(broken(text)) == ["key: 2 notes outside C major and A minor (bars 2, 3)"]
    assert remarks(broken("C4---F#4---G4---C5---")) == [
        "key: 1 note outside C major and A minor (bar 1)"
    ]
    assert remarks(broken("C4C4C4C4C4-....----")) == [
        "repetition: 1 note repeated too often (bar 1), 2 rests begun again (bar 1)"
    ]


def test_bars_are_those_of_the_metre():
    text = "3/4:" + "C4-----------" * 2 + "F#4---G4-------"
    assert remarks(broken(text)) == ["key: 1 note outside C major and A minor (bar 3)"]


def test_many_bars_are_counted():
    text = "F#4---------------G4---------------" * 6
    (line,) = [line for line in remarks(broken(text)) if line.startswith("key")]
    assert line == "key: 6 notes outside C major and A minor (bars 1, 3, 5, 7, 9, 11)"
    text = "F#4---------------G4---------------" * 10
    (line,) = [line for line in remarks(broken(text)) if line.startswith("key")]
    assert line.endswith("(bars 1, 3, 5, 7, 9, 11, 13, 15 and 2 more)")


def test_names_are_words():
    assert [readable(name) for name in RULE_NAMES if "_" in name] == [
        "repeated motif",
        "preferred intervals",
        "unique extremes",
    ]
