"""Metrics of melodies against references, oracles and numbers worked out by hand."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sequence_tutor.rewards.melodies.copying import copying_metrics, longest_copied
from sequence_tutor.rewards.melodies.metrics import melody_metrics
from sequence_tutor.rewards.melodies.note_metrics import groove_consistency, note_statistics
from sequence_tutor.rewards.melodies.notes import find_notes, windows
from sequence_tutor.rewards.melodies.rule_metrics import PAPER_COLUMNS, rule_metrics

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
MUSPY = {
    "pitch_range": "pitch_range",
    "pitches_used": "n_pitches_used",
    "pitch_classes_used": "n_pitch_classes_used",
    "pitch_entropy": "pitch_entropy",
    "pitch_class_entropy": "pitch_class_entropy",
    "scale_consistency": "scale_consistency",
    "pitch_in_c_major": "pitch_in_c_major",
    "empty_beat_rate": "empty_beat_rate",
}
# our metric: the reference's counter
COUNTERS = {
    "not_in_key": "notes_not_in_key",
    "excessively_repeated": "num_repeated_notes",
    "in_motif": "notes_in_motif",
    "in_repeated_motif": "notes_in_repeated_motif",
}
WHOLE = {
    "starts_with_tonic": "num_starting_tonic",
    "unique_max": "num_high_unique",
    "unique_min": "num_low_unique",
}


def found(name: str) -> Path:
    if not (DATA / name).exists() and not os.environ.get("CI"):
        pytest.skip(f"shared/data/{name} is missing")
    return DATA / name


def reference(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in found(name).read_text().splitlines()]


def melody(*tokens: int, repeat: int = 1) -> np.ndarray:
    return np.array([tokens] * repeat)


def number(value: float | None) -> float:
    return math.nan if value is None else value


def test_rules_are_counted_as_in_the_reference() -> None:
    rows = reference("melody_rule_reference.jsonl")
    assert len(rows) == 500
    for row in rows:
        stats, steps = row["stats"], len(row["tokens"])
        ours = rule_metrics(np.array([row["tokens"]]))
        expected = {name: stats[theirs] / steps for name, theirs in COUNTERS.items()}
        expected |= {name: stats[theirs] for name, theirs in WHOLE.items()}
        leaps = stats["num_resolved_leaps"] + stats["num_leap_twice"]
        expected["leaps_resolved"] = stats["num_resolved_leaps"] / leaps if leaps else math.nan
        for k in (1, 2, 3):
            constant = len(set(row["tokens"])) == 1
            r = math.nan if constant else stats[f"autocorrelation{k}"]
            expected[f"autocorrelation_{k}"] = r
        for name, value in expected.items():
            assert ours[name] == pytest.approx(value, abs=1e-6, nan_ok=True), (row["id"], name)


def test_rules_are_pooled_over_a_batch() -> None:
    rows = [r for r in reference("melody_rule_reference.jsonl") if len(r["tokens"]) == 32]
    ours = rule_metrics(np.array([r["tokens"] for r in rows]))
    for name, counter in COUNTERS.items():
        total = sum(r["stats"][counter] for r in rows)
        assert ours[name] == pytest.approx(total / (32 * len(rows)))
    resolved = sum(r["stats"]["num_resolved_leaps"] for r in rows)
    again = sum(r["stats"]["num_leap_twice"] for r in rows)
    assert ours["leaps_resolved"] == pytest.approx(resolved / (resolved + again))


@pytest.mark.parametrize("source", ["real", "random"])
def test_table_of_real_and_random_melodies(source: str) -> None:
    """The tolerances are four standard errors of a draw of 1,000 melodies."""
    if source == "real":
        tokens = np.load(found("lieder_cc0_windows32.npz"))["tokens"]
        column = (0.108, 0.029, 0.077, 0.844, 0.690, 0.606, 0.194, 0.0025, -0.24, 0.16, -0.24)
    else:
        tokens = np.random.default_rng(0).integers(0, 38, (2000, 32))
        column = (0.0, 0.396, 0.027, 0.028, 0.659, 0.641, 0.781, 0.0, -0.03, -0.04, -0.02)
    tolerance = (0.01, 0.006, 0.03, 0.05, 0.06, 0.06, 0.02, 0.002, 0.025, 0.025, 0.025)
    names = [
        "excessively_repeated",
        "not_in_key",
        "starts_with_tonic",
        "leaps_resolved",
        "unique_max",
        "unique_min",
        "in_motif",
        "in_repeated_motif",
        "autocorrelation_1",
        "autocorrelation_2",
        "autocorrelation_3",
    ]
    ours = rule_metrics(tokens)
    for name, value, allowed in zip(names, column, tolerance, strict=True):
        assert ours[name] == pytest.approx(value, abs=allowed), name


def test_a_held_note_counts_per_step_but_not_per_note() -> None:
    held = melody(15, *[0] * 11, 16, 0, 0, 0)  # C sharp, D
    ours = rule_metrics(held)
    assert (ours["not_in_key"], ours["not_in_key_per_note"]) == (1 / 16, 1 / 2)
    assert ours["excessively_repeated"] > 0 == ours["excessively_repeated_per_note"]
    again = rule_metrics(melody(*[14] * 16))
    assert again["excessively_repeated"] == again["excessively_repeated_per_note"] == 11 / 16
    assert ours["starts_with_tonic"] == 0 and again["starts_with_tonic"] == 1
    assert math.isnan(ours["leaps_resolved"]) and math.isnan(again["autocorrelation_1"])


def test_the_papers_columns_have_our_names() -> None:
    for column in PAPER_COLUMNS.values():
        assert column.keys() <= rule_metrics(melody(*[14] * 16)).keys()
        assert all(-1 <= value <= 1 for value in column.values())
    assert PAPER_COLUMNS["paper: Note RNN"]["excessively_repeated"] == 0.633
    assert PAPER_COLUMNS["paper: G"]["autocorrelation_1"] == 0.55
    assert PAPER_COLUMNS["paper: Q"]["in_repeated_motif"] == 0.0011


def test_notes_agree_with_muspy() -> None:
    rows = reference("melody_metric_reference.jsonl")
    assert len(rows) == 483
    for row in rows:
        ours = note_statistics(np.array([row["tokens"]]))
        for name, theirs in MUSPY.items():
            expected = number(row[theirs])
            assert ours[name][0] == pytest.approx(expected, abs=1e-6, nan_ok=True), (
                row["id"],
                name,
            )


def test_groove_agrees_with_muspy_over_whole_bars() -> None:
    compared = 0
    for row in reference("melody_metric_reference.jsonl"):
        tokens = np.array([row["tokens"]])
        notes = find_notes(tokens)
        end = int((notes.start + notes.length).max(initial=0))
        padded = np.zeros((1, 16 * (end // 16 + 1)), dtype=int)  # muspy's bars, made whole ones
        padded[:, : tokens.shape[1]] = tokens[:, : padded.shape[1]]
        expected = number(row["groove_consistency_16"])
        assert groove_consistency(padded, 16)[0] == pytest.approx(expected, abs=1e-6, nan_ok=True)
        compared += not math.isnan(expected)
    assert compared == 470


def test_groove_by_hand() -> None:
    bar = [14, 0, 0, 0] * 4
    assert groove_consistency(np.array([bar + bar]), 16)[0] == 1.0
    assert groove_consistency(np.array([bar + bar + [14] * 8]), 16)[0] == 1.0  # the rest is no bar
    assert groove_consistency(np.array([bar + [14] * 16]), 16)[0] == 1 - 12 / 16
    assert np.isnan(groove_consistency(np.array([bar, [0] * 16]), 16)).all()
    assert groove_consistency(np.array([bar + [14] * 16]), 8)[0] == 1 - 2 / 8  # of three pairs


def test_notes_by_hand() -> None:
    tokens = melody(0, 14, 0, 1, 0, 26, 26, 0)
    notes = find_notes(tokens)
    assert notes.start.tolist() == [1, 5, 6]
    assert notes.length.tolist() == [2, 1, 2]
    assert notes.pitch.tolist() == [12, 24, 24]
    numbers = {name: values[0] for name, values in note_statistics(tokens).items()}
    assert numbers["notes_per_melody"] == 3
    assert numbers["mean_note_length"] == pytest.approx(5 / 3)
    assert numbers["rest_share"] == 3 / 8
    assert (numbers["pitch_range"], numbers["pitches_used"]) == (12, 2)
    assert numbers["pitch_classes_used"] == 1 and numbers["pitch_class_entropy"] == 0


@pytest.mark.parametrize("tokens", [[14, 0], [[14, 38]], [[-1, 0]]])
def test_tokens_that_are_no_melody_raise(tokens: list[Any]) -> None:
    with pytest.raises(ValueError, match="tokens must be"):
        find_notes(np.array(tokens))


def oracle(one: list[int], training: list[list[int]]) -> int:
    runs = {
        tuple(m[i:j]) for m in training for i in range(len(m)) for j in range(i + 1, len(m) + 1)
    }
    pieces = [(i, j) for i in range(len(one)) for j in range(i + 1, len(one) + 1)]
    return max((j - i for i, j in pieces if tuple(one[i:j]) in runs), default=0)


@pytest.mark.parametrize("kinds", [2, 3, 38])
def test_longest_copied_run_agrees_with_the_oracle(kinds: int) -> None:
    random = np.random.default_rng(kinds)
    training = [random.integers(0, kinds, n) for n in (0, 1, 3, 8, 12, 20, 30)]
    tokens = random.integers(0, kinds, (60, 12))
    tokens[0], tokens[1, 2:10] = training[5][4:16], training[3]
    expected = [oracle(t.tolist(), [m.tolist() for m in training]) for t in tokens]
    ours = longest_copied(tokens, training)
    assert ours.tolist() == expected
    assert ours[0] == 12 and ours[1] >= 8 and len(set(expected)) > 2


def test_runs_dont_cross_from_one_melody_to_the_next() -> None:
    tokens, apart = melody(14, 16, 18, 19), [np.array([14, 16]), np.array([18, 19])]
    assert longest_copied(tokens, apart).tolist() == [2]
    assert longest_copied(tokens, [np.concatenate(apart)]).tolist() == [4]
    assert longest_copied(np.array([[14, 16], [18, 19]]), [np.array([16, 18])]).tolist() == [1, 1]
    assert longest_copied(tokens, []).tolist() == [0]


def test_copying_by_hand() -> None:
    tokens = np.array([[14, 16, 18], [14, 16, 18], [20, 20, 16], [30, 30, 30]])
    training = [np.array([14, 16, 18], dtype=np.uint8), np.array([2, 20, 20, 16])]
    numbers = copying_metrics(tokens, training)
    assert numbers["novel"] == 2 / 3  # the third is in a training melody, but isn't one
    assert numbers["mean_longest_copied"] == (3 + 3 + 3 + 0) / 4
    assert (numbers["max_longest_copied"], numbers["copied_whole"]) == (3, 3 / 4)


def test_windows_are_whole_and_dont_overlap() -> None:
    cut = windows([np.arange(7), np.arange(2), np.arange(10, 13)], 3)
    assert cut.tolist() == [[0, 1, 2], [3, 4, 5], [10, 11, 12]]
    assert windows([], 3).shape == (0, 3)


def test_all_metrics_together() -> None:
    random = np.random.default_rng(1)
    tokens = random.integers(0, 38, (20, 32))
    training = [random.integers(0, 38, n) for n in (20, 32, 64, 100)]
    alone, beside = melody_metrics(tokens), melody_metrics(tokens, training)
    assert alone.items() <= beside.items()
    assert list(beside)[: len(alone)] == list(alone)
    assert list(alone)[0] == "not_in_key" and list(alone)[-1] == "distinct"
    assert "novel" not in alone and "overlap_pitch_class" not in alone
    assert all(type(v) is float and math.isfinite(v) for v in beside.values())
    assert melody_metrics(np.repeat(tokens, 4, axis=0))["distinct"] == 0.25


def test_metrics_of_silence_keep_their_names() -> None:
    training = [np.full(32, 14)]
    names = list(melody_metrics(np.full((3, 32), 14), training))
    for rows in (0, 3):
        silence = melody_metrics(np.zeros((rows, 32), dtype=int), training)
        assert list(silence) == names
        assert math.isnan(silence["pitch_entropy"]) and math.isnan(silence["autocorrelation_1"])
    assert silence["rest_share"] == 1 and silence["pitches_used"] == 0
