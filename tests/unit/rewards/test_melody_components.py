"""Components of melodies beyond the nine rules: features, limits, motifs, chords, the bundles."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.melodies.chords import parse_chords
from sequence_tutor.rewards.melodies.features import FEATURES, LIEDER_BANDS, bands_of
from sequence_tutor.rewards.melodies.given_rules import strong_steps
from sequence_tutor.rewards.melodies.melody import Melodies, Melody
from sequence_tutor.rewards.melodies.note_metrics import note_statistics
from sequence_tutor.rewards.melodies.spelling import read, spell
from sequence_tutor.rewards.melodies.time import Time

TUNE = "C4---D4---E4-------C5-.-G4-E4-.-C4---"
LIEDER = Path(__file__).resolve().parents[3] / "policies/priors/lieder/training.txt.gz"


def scored(component: dict[str, Any], *melodies: str) -> np.ndarray:
    """What each melody's steps are paid, one row each."""
    config = RewardConfig.model_validate({"aggregate": "sum", "component": [component]})
    scores = build_reward(config, "melodies").score(list(melodies))
    assert not any(scores.errors)
    return scores.rewards if scores.step_rewards is None else scores.step_rewards


def wrong(component: dict[str, Any], message: str) -> None:
    config = RewardConfig.model_validate({"aggregate": "sum", "component": [component]})
    with pytest.raises(ValueError, match=message):
        build_reward(config, "melodies")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("notes_per_bar", 7 * 16 / 30),
        ("mean_note_length", (4 + 4 + 8 + 2 + 2 + 2 + 4) / 7 / 4),
        ("note_length_entropy", 1.4488),  # of 3, 1 and 3 notes
        ("rest_share", 4 / 30),
        ("on_beat_share", 5 / 7),
        ("syncopation_share", 1 / 7),
        ("mean_pitch", (60 + 62 + 64 + 72 + 67 + 64 + 60) / 7),
        ("pitch_range", 12.0),
        ("pitches_used", 5.0),
        ("in_key_share", 1.0),
        ("mean_interval", (2 + 2 + 8 + 5 + 3 + 4) / 6),
        ("largest_interval", 8.0),
        ("step_share", 2 / 6),
        ("repeated_note_share", 0.0),
        ("turn_share", 1 / 5),
    ],
)
def test_features_by_hand(name: str, value: float):
    assert FEATURES[name].measure(read(TUNE)) == pytest.approx(value, abs=1e-4)
    assert scored({"name": name}, TUNE) == pytest.approx(value, abs=1e-4)


def test_features_agree_with_the_metrics_of_a_sample():
    random = np.random.default_rng(0)
    tokens = random.choice(38, (50, 32), p=np.r_[0.6, 0.04, np.full(36, 0.01)])
    statistics = note_statistics(tokens)
    for ours, theirs in {
        "pitch_range": "pitch_range",
        "pitches_used": "pitches_used",
        "pitch_entropy": "pitch_entropy",
        "pitch_class_entropy": "pitch_class_entropy",
        "in_key_share": "pitch_in_c_major",
        "bar_similarity": "groove_consistency",
        "rest_share": "rest_share",
    }.items():
        found = [FEATURES[ours].measure(Melody(row.astype(np.int64))) for row in tokens]
        assert found == pytest.approx(statistics[theirs].tolist()), ours


@pytest.mark.parametrize("text", ["-" * 16, "C4" + "-" * 15, "." * 4, "3/4:" + "C4D4E4F4" * 6])
def test_features_are_defined_for_every_melody(text: str):
    for name, feature in FEATURES.items():
        value = feature.measure(read(text))
        assert feature.least <= value <= feature.most, name
        assert scored({"name": name}, text) == pytest.approx(value)


def test_off_the_beat_and_into_the_next_is_syncopated():
    measure = FEATURES["syncopation_share"].measure
    assert measure(read("C4-D4---E4-.-F4---")) == 2 / 4
    assert measure(read("6/8:C4---D4-------")) == 1 / 2
    assert measure(read("C4-D4-E4---")) == 0.0


def test_bands_are_percentiles_of_the_corpus(tmp_path: Path):
    found = bands_of(str(LIEDER), 5, 95)
    assert {name: pytest.approx(band, abs=1e-3) for name, band in found.items()} == LIEDER_BANDS
    path = tmp_path / "mine.txt.gz"
    with gzip.open(path, "wt") as file:
        file.writelines(f"C4{'-' * n}{'D4' * (32 - n - 1)}\n" for n in range(1, 31))
    low, high = bands_of(str(path), 10, 90)["pitch_range"]
    assert low == high == 2.0


def test_human_range_pays_for_each_feature_within_its_band():
    real = [line.strip() for line in gzip.open(LIEDER, "rt")][:200]
    noise = [spell(np.random.default_rng(i).integers(0, 38, 32)) for i in range(50)]
    paid = scored({"name": "human_range"}, *real, *noise)
    assert paid.max() <= len(FEATURES) and paid.min() >= 0
    assert paid[:200].mean() > 0.9 * len(FEATURES) > 0.6 * len(FEATURES) > paid[200:].mean()
    two = scored({"name": "human_range", "only": ["pitch_range", "step_share"]}, *real)
    assert set(two.tolist()) <= {0.0, 1.0, 2.0}


def test_what_human_range_refuses(tmp_path: Path):
    wrong({"name": "human_range", "only": ["pitch_rang"]}, "did you mean 'pitch_range'")
    wrong({"name": "human_range", "low": 10.0}, "need a corpus")
    wrong({"name": "human_range", "corpus": str(tmp_path / "none.txt")}, "can't be read")
    path = tmp_path / "few.txt"
    path.write_text("C4---\n\nD4---\nH4---\n")
    wrong({"name": "human_range", "corpus": str(path)}, "line 4: 'H4---' is not a melody")
    path.write_text("C4---\n")
    wrong({"name": "human_range", "corpus": str(path)}, "has 1 melodies; percentiles need at")
    wrong({"name": "human_range", "corpus": str(path), "low": 95.0, "high": 5.0}, "low below high")


def test_limits_cost_at_the_note():
    tune = "C4-C5-D5-C3-"
    assert scored({"name": "interval_limit"}, tune)[0, :8].tolist() == [0] * 6 + [-1, 0]
    paid = scored({"name": "interval_limit", "most": 11}, tune)
    assert paid[0, :8].tolist() == [0, 0, -1, 0, 0, 0, -1, 0]
    paid = scored({"name": "pitch_limits", "lowest": "C4", "highest": "C5"}, tune)
    assert paid[0, :8].tolist() == [0, 0, 0, 0, -1, 0, -1, 0]
    wrong({"name": "pitch_limits", "lowest": "H4"}, "'H4' is no note from C3 to B5")
    wrong({"name": "pitch_limits", "lowest": "G5", "highest": "C4"}, "'G5' is above highest")


def test_a_given_motif_is_paid_at_its_end():
    motif = {"name": "given_motif", "motif": "C4-D4-E4-"}
    tune = "C4-D4-E4-----G4-A4-B4-C4-D4-E4-----"
    assert np.flatnonzero(scored(motif, tune)[0]).tolist() == [5, 15, 21]
    same = scored(motif | {"transposed": False}, tune)
    assert np.flatnonzero(same[0]).tolist() == [5, 21]
    assert np.flatnonzero(scored(motif | {"most": 1}, tune)[0]).tolist() == [5]
    assert scored({"name": "given_motif", "motif": "C4C4"}, "C4C4C4C4C4")[0].sum() == 2
    for text, reason in (("x", "not a melody"), ("C4---", "have two"), ("-C4D4", "begin with")):
        wrong({"name": "given_motif", "motif": text}, reason)
    wrong(motif | {"most": 0}, "most must be at least 1")


@pytest.mark.parametrize(
    ("text", "tones"),
    [
        ("C", [{0, 4, 7}]),
        ("Am7/G", [{9, 0, 4, 7}]),
        ("F#m7b5", [{6, 9, 0, 4}]),
        ("Bbmaj7", [{10, 2, 5, 9}]),
        ("B♭M7", [{10, 2, 5, 9}]),
        ("Gsus4", [{7, 0, 2}]),
        ("E+", [{4, 8, 0}]),
        ("Bo7", [{11, 2, 5, 8}]),
        ("N.C.", [set()]),
        ("Cb", [{11, 3, 6}]),
    ],
)
def test_chords_are_read_as_lead_sheets_write_them(text: str, tones: list[set[int]]):
    assert parse_chords(text) == [[frozenset(chord) for chord in tones]]


def test_bars_of_chords():
    c, g7 = frozenset({0, 4, 7}), frozenset({7, 11, 2, 5})
    assert parse_chords("| C | C G7 | % |") == [[c], [c, g7], [c, g7]]
    for text, reason in (
        ("H", "'H' in bar 1 isn't a chord"),
        ("C | Cx", "'Cx' in bar 2"),
        ("", "no chord"),
    ):
        with pytest.raises(ValueError, match=reason):
            parse_chords(text)


def test_chord_tones_on_strong_beats():
    paid = scored(
        {"name": "chord_tones", "chords": "C F | G7"}, "C4-------A4-------E4-------.-------"
    )
    assert paid[0, [0, 8, 16, 24]].tolist() == [1, 1, -1, 0] and np.abs(paid).sum() == 3
    # of 3/4 the first beat alone, of 6/8 both
    melodies = Melodies(np.zeros((1, 24), int), 24, Time(3, 4))
    assert strong_steps(melodies).tolist() == [0, 12]
    melodies = Melodies(np.zeros((1, 24), int), 24, Time(6, 8))
    assert strong_steps(melodies).tolist() == [0, 6, 12, 18]
    wrong({"name": "chord_tones", "chords": "C | Q"}, "'Q' in bar 2 isn't a chord")


def test_rules_take_options_in_profile_corrected_alone():
    wide = "C4-G5-F5-E5-D5-C5-B4-A4-G4-F4-E4-D4-C4-"
    assert scored({"name": "leaps"}, wide)[0].sum() == 0  # -5 for the leap, +5 for its answer
    assert scored({"name": "leaps", "widest": 24}, wide)[0].sum() == 5
    options = {"leaps": {"widest": 24}, "repetition": {"most": 2}}
    both = scored({"name": "music_theory", "options": options}, wide)[0].sum()
    assert both == scored({"name": "music_theory"}, wide)[0].sum() + 5
    wrong({"name": "leaps", "profile": "paper", "widest": 9}, "widest is for profile 'corrected'")
    wrong({"name": "music_theory", "options": {"leap": {}}}, "did you mean 'leaps'")
    wrong({"name": "music_theory", "options": {"key": {"most": 1}}}, "option of component 'key'")
