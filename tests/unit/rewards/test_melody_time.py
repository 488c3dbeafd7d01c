"""The metre and the grid of a melody, in its text, its bars and its rules."""

from __future__ import annotations

import re

import numpy as np
import pytest

from sequence_tutor.rewards.melodies.domain import MelodyDomain
from sequence_tutor.rewards.melodies.melody import Melodies, Melody
from sequence_tutor.rewards.melodies.note_metrics import note_statistics
from sequence_tutor.rewards.melodies.rules import rule_rewards, rule_rewards_batch
from sequence_tutor.rewards.melodies.spelling import parse, spell
from sequence_tutor.rewards.melodies.time import COMMON, Time, split_header

WALTZ, JIG, TRIPLETS = Time(3, 4), Time(6, 8), Time(4, 4, 12)
C4, D4, E4, G4 = 14, 16, 18, 21


@pytest.mark.parametrize(
    ("time", "header", "bar", "beat", "phrase"),
    [
        (COMMON, "", 16, 4, 8),
        (WALTZ, "3/4:", 12, 4, 12),
        (JIG, "6/8:", 12, 6, 12),
        (Time(2), "2/4:", 8, 4, 8),
        (Time(2, 2), "2/2:", 16, 8, 16),
        (TRIPLETS, "4/4@12:", 48, 12, 24),
        (Time(6, 8, 12), "6/8@12:", 36, 18, 36),
        (Time(9, 8), "9/8:", 18, 6, 18),
        (Time(3, 8), "3/8:", 6, 2, 6),
        (Time(5), "5/4:", 20, 4, 20),
    ],
)
def test_lengths_and_text_of_a_time(time: Time, header: str, bar: int, beat: int, phrase: int):
    assert (time.header, time.bar, time.beat, time.phrase) == (header, bar, beat, phrase)
    assert split_header(header + "C4---") == (time, "C4---")
    melody = parse(header + "C4-.-")
    assert melody is not None and melody.time == time and len(melody.tokens) == 4
    assert spell(melody.tokens, time) == header + "C4-.-"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("4/4:C4---", "4/4: is written without it"),
        ("3/4@4:C4---", "3/4@4: is written 3/4:"),
        ("03/4:C4---", "03/4: is written 3/4:"),
        ("3/5:C4---", "3/5 is not a metre"),
        ("3/4@5:C4---", "4, 6 or 12 steps"),
        ("1/16@6:C4---", "can't hold 1/16"),
        ("3/4:H4---", "not a melody at character 5"),
        ("3/4:", "not 4 to 65,535|not a melody"),
    ],
)
def test_one_melody_has_one_text(text: str, reason: str):
    identity = MelodyDomain().identify(text)
    assert identity.key is None
    assert parse(text) is None
    assert re.search(reason, identity.reason)


def test_rules_follow_the_bars():
    bars = [C4, *[0] * 11] * 3  # three bars of 3/4 with a C throughout
    paid = rule_rewards_batch(np.array([bars]), 36, time=WALTZ)
    assert paid["tonic"][0, :24].tolist() == [3.0] + [0.0] * 23
    assert paid["tonic"][0, 24:] == pytest.approx(np.ones(12))  # 12 over the last bar
    # a motif is a bar of 3/4, and half a bar of 4/4
    motif = [C4, 0, D4, 0, E4, 0, G4, 0, 0, 0, 0, 0]
    waltz = rule_rewards_batch(np.array([motif * 2]), 24, time=WALTZ)
    assert np.flatnonzero(waltz["motif"][0]).tolist() == [11, 23]
    assert np.flatnonzero(waltz["repeated_motif"][0]).tolist() == [23]
    common = rule_rewards(motif * 2, 24)
    assert np.flatnonzero(common["motif"]).tolist() == [7]
    # on a grid of triplets everything is three times as long, and worth the same
    half = [C4, 0, D4, 0, E4, 0, G4, 0]
    stretched = [token for one in half * 4 for token in (one, 0, 0)]
    fine = rule_rewards_batch(np.array([stretched]), 96, time=TRIPLETS)
    coarse = rule_rewards_batch(np.array([half * 4]), 32)
    for name in ("motif", "repeated_motif", "leaps", "unique_extremes", "repetition", "tonic"):
        assert fine[name].sum() == pytest.approx(coarse[name].sum()), name


def test_windows_of_any_length_repeat():
    """The quick search for repeated windows, against a slow one."""
    random = np.random.default_rng(0)
    for time in (COMMON, WALTZ, Time(9, 8), TRIPLETS, Time(5)):
        window = time.phrase
        phrase = random.integers(0, 38, window)
        tokens = random.integers(0, 38, (3, 4 * window))
        tokens[0, 1 : 1 + window] = tokens[0, -window:] = phrase
        tokens[1] = np.resize(random.integers(0, 38, window - 1), 4 * window)
        found = Melodies(tokens, 4 * window, time).window_repeats
        rows = tokens.tolist()
        for i, row in enumerate(rows):
            for end in range(window, 4 * window + 1):
                known = [row[e - window : e] for e in range(window, end - window + 1)]
                assert found[i, end - 1] == (row[end - window : end] in known)
        assert found[0, -1]


def test_metrics_are_those_of_the_metre():
    waltz = np.array([[C4, *[0] * 11, D4, *[0] * 11]])
    assert note_statistics(waltz, WALTZ)["groove_consistency"][0] == 1.0
    domain = MelodyDomain()
    text = "3/4:C4-----------D4-----------"
    assert domain.metrics([text, text])["valid"] == 1.0
    with pytest.raises(ValueError, match="3/4: and 4/4: can't share a table"):
        domain.metrics([text, text.removeprefix("3/4:")])
    assert domain.group(text, "incipit").count(" ") == 23


def test_notes_of_a_melody():
    melody = parse("6/8:-C4---.-D4E4---")
    assert melody is not None
    assert melody.notes == [(1, 60, 4), (7, 62, 1), (8, 64, 4)]
    assert Melody(np.zeros(4, np.int64)).notes == []
