"""The rules against the original's output, each quirk of the original against its correction, and
input that raises."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sequence_tutor.rewards.melodies import rule_rewards, rule_rewards_batch

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
HOLD, OFF = 0, 1
C4, D4, E4, G4, AB4, A4, C5, G5 = 14, 16, 18, 21, 22, 23, 26, 33
OURS = {
    "penalize_repeating": "repetition",
    "penalize_autocorrelation": "autocorrelation",
    "leap_up_back": "leaps",
    "high_low_unique": "unique_extremes",
}


def reference(name: str) -> list[dict[str, Any]]:
    path = DATA / name
    if not path.exists() and not os.environ.get("CI"):
        pytest.skip(f"shared/data/{name} is missing")
    text = path.read_text()
    if path.suffix == ".json":
        cases: list[dict[str, Any]] = json.loads(text)["cases"]
        return cases
    return [json.loads(line) for line in text.splitlines()]


def paid(rule: str, tokens: list[int], length: int = 32) -> tuple[list[float], list[float]]:
    """Rewards of each step by the profiles `paper` and `corrected`."""
    paper, corrected = (
        rule_rewards(tokens, length, profile)[rule].tolist() for profile in ("paper", "corrected")
    )
    return paper, corrected


@pytest.mark.parametrize(
    "name, melodies", [("melody_rule_cases.json", 17), ("melody_rule_reference.jsonl", 500)]
)
def test_paper_agrees_with_the_original(name: str, melodies: int) -> None:
    lines = reference(name)
    assert len(lines) == melodies
    swapped = 0
    for line in lines:
        rewards = rule_rewards(line["tokens"], line["n"], "paper")
        others = rule_rewards(line["tokens_paper"], line["n"], "paper")
        for original, expected in line["rewards"].items():
            rule = OURS.get(original, original)
            got, want = rewards[rule], np.array(expected)
            if rule == "autocorrelation":  # where |r_k| = 0.15 the original rounds
                got[line["autocorr_tie_steps"]] = want[line["autocorr_tie_steps"]] = 0
                swapped += not np.allclose(others[rule], expected, atol=1e-6)
            np.testing.assert_allclose(got, want, atol=1e-6, err_msg=f"{line['id']} {rule}")
    assert swapped > 0  # the control: with hold and note off confused some disagree


def test_a_correlation_of_exactly_the_threshold_costs_nothing() -> None:
    # 14 and four holds: deviations 10.4, -2.6 (four times), so r = -0.05, -0.1, -0.15
    paper, _ = paid("autocorrelation", [C4, HOLD, HOLD, HOLD, HOLD])
    assert paper[4] == 0
    assert paper[3] < 0


def test_the_first_step_has_no_interval() -> None:
    for first in range(38):
        for rule in ("preferred_intervals", "leaps", "repetition"):
            assert paid(rule, [first]) == ([0], [0])
    assert paid("preferred_intervals", [C4, D4]) == ([0, 0.4], [0, 0.4])
    assert paid("leaps", [HOLD, C5, C4 - 1, C4])[0] == [0, 0, 0, 0]  # C5 leaps from nothing


def test_key_is_the_same_in_both_profiles() -> None:
    scale = [*range(C4, C5 + 1), HOLD, OFF]
    expected = [0, -1, 0, -1, 0, 0, -1, 0, -1, 0, -1, 0, 0, 0, 0]
    assert paid("key", scale) == (expected, expected)


def test_tonic_in_any_octave_major_or_minor() -> None:
    for first, paper in ((C4, 3), (C5, 0), (A4, 0), (D4, 0)):
        assert paid("tonic", [first]) == ([paper], [0 if first == D4 else 3])


def test_tonic_is_paid_for_sounding_beats_not_for_silence() -> None:
    silent = paid("tonic", [D4, OFF] + [HOLD] * 30)
    assert [sum(p) for p in silent] == [9, 0]
    held = paid("tonic", [D4] * 16 + [A4] + [HOLD] * 15)
    assert [sum(p) for p in held] == [9, 12]
    assert held[1][15:17] == [0, 0.75]


def test_a_held_note_is_not_a_repeated_note() -> None:
    paper, corrected = paid("repetition", [C4] + [HOLD] * 15)
    assert paper == [0] * 6 + [-100] * 10
    assert corrected == [0] * 16


def test_repetition_costs_from_the_fifth_equal_note() -> None:
    assert paid("repetition", [C4] * 6) == ([0] * 5 + [-100], [0] * 4 + [-100] * 2)
    paper, corrected = paid("repetition", [C4, HOLD] * 8)  # with breaks: the eighth, the seventh
    assert [t for t, r in enumerate(paper) if r] == [14]
    assert [t for t, r in enumerate(corrected) if r] == [12, 14]
    rests = [C4, OFF, HOLD, OFF, HOLD, OFF, D4, OFF]
    assert paid("repetition", rests) == ([0] * 5 + [-100, 0, 0],) * 2


def test_autocorrelation_is_of_pitches_and_paid_once() -> None:
    assert paid("autocorrelation", [C4, D4]) == ([0, -1.5], [0, 0])
    notes = [C4, G4] * 4
    paper, corrected = paid("autocorrelation", [t for n in notes for t in (n, HOLD)], 16)
    # of 8 alternating notes r_k = -7/8, 6/8, -5/8
    assert corrected == [0] * 15 + [pytest.approx(-3 * 18 / 8)]
    assert sum(r < 0 for r in paper) == 15
    assert paid("autocorrelation", notes[:7] + [HOLD], 8)[1] == [0] * 8  # too few notes
    assert paid("autocorrelation", [C4] * 8, 8) == ([0] * 8, [0] * 8)


def test_a_motif_is_a_half_bar_and_not_noise() -> None:
    tune = [C4, HOLD, E4, HOLD, G4, HOLD, A4, HOLD]
    paper, corrected = paid("motif", tune * 2)
    assert paper == [0] * 7 + [3.3] * 9
    assert corrected == [0] * 7 + [3.3] + [0] * 7 + [3.3]
    noise = [2, 30, 11, 7, 19, 35, 13, 24]
    assert (paid("motif", noise)[0][7], paid("motif", noise)[1][7]) == (4.5, 0)
    five = [2, 30, 11, 7, 19, 2, 2, 2]
    assert paid("motif", five)[0] == paid("motif", five)[1] == [0] * 7 + [3.6]


def test_a_repeated_motif_is_paid_once_a_half_bar() -> None:
    tune = [C4, HOLD, E4, HOLD, G4, HOLD, A4, HOLD]
    paper, corrected = paid("repeated_motif", tune * 3)
    assert paper == [0] * 15 + [5] * 9
    assert corrected == [0] * 15 + [5] + [0] * 7 + [5]
    # the first occurrence may be anywhere, but must not overlap
    shifted = [D4] * 3 + tune + [D4] * 5 + tune
    assert paid("repeated_motif", shifted)[1] == [0] * 23 + [5]
    # of period 7: the first window comes again after 7 steps, an overlap, and after 14
    paper, corrected = paid("repeated_motif", (tune[:7] * 4)[:24])
    assert (paper[:21], paper[21:], corrected) == ([0] * 21, [5] * 3, [0] * 23 + [5])


def test_only_the_third_of_c_and_e_counts_as_in_key() -> None:
    for p, a, paper, corrected in (
        (C4, E4, 0.75, 0.75),
        (E4, C4, 0.75, 0.75),
        (C5, AB4, 0.75, 0.45),
        (E4, AB4, 0.75, 0.45),
        (G4, G4 + 4, 0.45, 0.45),
    ):
        assert paid("preferred_intervals", [p, a]) == ([0, paper], [0, corrected])


def test_silence_is_not_a_held_note() -> None:
    paper, corrected = paid("preferred_intervals", [G4, HOLD, OFF, HOLD, OFF, D4, HOLD])
    assert paper == [0, 1.5, 0.75, 1.5, 0.75, 0.35, 0.375]
    assert corrected == [0, 1.5, 0.75, 0, 0, 0.35, 0.375]


def test_a_leap_back_must_be_answered() -> None:
    # the paper pays a late leap back at once, ours when smaller intervals answer it
    late_leap = [C4, C5] + [HOLD] * 7 + [C4]
    assert paid("leaps", late_leap) == ([0] * 9 + [5], [0] * 10)
    assert paid("leaps", late_leap[:2] + late_leap[3:])[0] == [0] * 9  # one step less
    answered = [C4, C5, C4, E4, G4, A4, C5]
    assert paid("leaps", answered) == ([0] * 7, [0, 0, 0, 0, 0, 0, 10])
    # a trill of leaps gains no more
    assert paid("leaps", [C4, C5] * 3 + [C4, E4, G4, A4, C5])[1] == [0] * 10 + [10]
    # a leap of more than an octave costs, also as a leap back, and is no answer
    wide = [C4, G5, C4, G4, C5, G5]
    assert paid("leaps", wide)[1] == [0, -5, -5, 0, 0, -5]
    # leaping on, and coming back by steps, are the same in both
    assert paid("leaps", [C4, G4, D4 + 12]) == ([0, 0, -5],) * 2
    assert paid("leaps", [C4, A4, G4, E4, D4, C4]) == ([0] * 5 + [5],) * 2


def test_unique_extremes_need_notes() -> None:
    rests = [OFF] * 7 + [HOLD]
    assert paid("unique_extremes", rests, 8) == ([0] * 7 + [3], [0] * 8)
    for tokens, expected in (([C4, D4, E4, HOLD], 6), ([C4, D4, D4, HOLD], 3), ([C4] * 4, 0)):
        assert paid("unique_extremes", tokens, 4) == ([0, 0, 0, expected],) * 2


def test_extremes_are_within_a_range_and_no_last_leap() -> None:
    # D4 C4 D4 C5: the leap at the end makes the highest note
    assert paid("unique_extremes", [D4, C4, D4, C5], 4) == ([0, 0, 0, 6], [0, 0, 0, 3])
    assert paid("unique_extremes", [D4, C5, C4, D4], 4) == ([0, 0, 0, 6],) * 2
    assert paid("unique_extremes", [C4, A4, G5, A4], 4) == ([0, 0, 0, 6],) * 2
    assert paid("unique_extremes", [C4, A4, G5 + 1, A4], 4) == ([0, 0, 0, 6], [0] * 4)


@pytest.mark.parametrize(
    "tokens, length, profile, message",
    [
        ([38], 32, "paper", "tokens must be 0..37, not 38..38"),
        ([3, -1], 32, "paper", "tokens must be 0..37, not -1..3"),
        ([3.0], 32, "paper", "tokens must be integers, not float64"),
        ([0] * 33, 32, "paper", "melodies of 33 steps exceed length = 32"),
        ([0], 3, "paper", "length must be 4 to 65535 steps, not 3"),
        ([0], 65_536, "corrected", "length must be 4 to 65535 steps, not 65536"),
        ([0], 32, "papre", "unknown profile 'papre'; there are: paper, corrected"),
        ([[0]], 32, "paper", r"a melody must be tokens \[T\], not of shape \(1, 1\)"),
    ],
)
def test_bad_input_raises(tokens: list[int], length: int, profile: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        rule_rewards(tokens, length, profile)
    with pytest.raises(ValueError, match="^melodies must be tokens"):
        rule_rewards_batch([0, 1])
