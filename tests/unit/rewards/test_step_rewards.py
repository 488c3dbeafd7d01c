"""Components with rewards by the step: paid at their step, recorded by name, failing alone."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sequence_tutor.rewards.base import Scores, Status
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.melodies import RULE_NAMES, rule_rewards
from sequence_tutor.rewards.melodies.spelling import parse, spell
from sequence_tutor.rewards.registry import _COMPONENTS, Component

REFERENCE = Path(__file__).resolve().parents[4] / "shared/data/melody_rule_reference.jsonl"
MELODIES = ["C4---D4---E4-------.---C5-C#5-.-G4-----", "C4" * 32, "-" * 32]


def score(config: dict[str, Any], melodies: list[str] = MELODIES) -> Scores:
    return build_reward(RewardConfig.model_validate(config), "melodies").score(melodies)


def rules(**options: Any) -> dict[str, Any]:
    return {"name": "music_theory", **options}


@pytest.mark.parametrize("profile", ["paper", "corrected"])
def test_music_theory_pays_every_rule_at_its_step(profile: str):
    scores = score({"aggregate": "sum", "component": [rules(profile=profile)]})
    assert tuple(scores.step_raw) == tuple(scores.raw) == RULE_NAMES
    for i, melody in enumerate(MELODIES):
        expected = rule_rewards(parse(melody).tokens, 32, profile)
        for name in RULE_NAMES:
            np.testing.assert_allclose(scores.step_raw[name][i, :32], expected[name], atol=1e-5)
            assert np.isnan(scores.step_raw[name][i, 32])  # no action, no value
            assert scores.raw[name][i] == pytest.approx(expected[name].sum())
        np.testing.assert_allclose(
            scores.step_rewards[i, :32], sum(expected.values()), rtol=1e-5, atol=1e-5
        )
        assert scores.rewards[i] == pytest.approx(sum(v.sum() for v in expected.values()))
    np.testing.assert_allclose(scores.step_rewards.sum(1), scores.rewards, rtol=1e-6)
    assert len(set(scores.rewards)) == 3


def test_the_total_agrees_with_the_paper_on_a_melody():
    if not REFERENCE.is_file() and not os.environ.get("CI"):
        pytest.skip(f"{REFERENCE} is missing")
    line = json.loads(REFERENCE.read_text().splitlines()[0])
    scores = score(
        {"aggregate": "sum", "component": [rules(profile="paper")]}, [spell(line["tokens"])]
    )
    steps = [t for t in range(32) if t not in line.get("autocorr_tie_steps", [])]
    np.testing.assert_allclose(
        scores.step_rewards[0, steps], np.array(line["total"])[steps], atol=1e-5
    )


def test_weights_of_music_theory_and_of_its_rules_multiply():
    plain = score({"aggregate": "sum", "component": [rules()]})
    config = rules(weight=2.0, weights={"key": 3.0, "motif": 0.0})
    weighted = score({"aggregate": "sum", "component": [config]})
    expected = 2 * (plain.rewards + 2 * plain.raw["key"] - plain.raw["motif"])
    np.testing.assert_allclose(weighted.rewards, expected)
    np.testing.assert_allclose(weighted.raw["motif"], plain.raw["motif"])  # recorded all the same
    steps = plain.step_rewards + 2 * np.nan_to_num(plain.step_raw["key"])
    steps = 2 * (steps - np.nan_to_num(plain.step_raw["motif"]))
    np.testing.assert_allclose(weighted.step_rewards, steps, atol=1e-4)


def test_a_mean_pays_weighted_shares_by_the_step():
    both = [{"name": "key", "weight": 3.0}, {"name": "leaps"}]
    scores = score({"component": both})
    expected = 0.75 * scores.raw["key"] + 0.25 * scores.raw["leaps"]
    np.testing.assert_allclose(scores.rewards, expected)
    steps = 0.75 * scores.step_raw["key"] + 0.25 * scores.step_raw["leaps"]
    np.testing.assert_allclose(scores.step_rewards, np.nan_to_num(steps), atol=1e-6)


def test_a_transformed_rule_is_paid_only_at_the_end():
    squeezed = {"name": "key", "transform": {"type": "linear", "low": -4, "high": 0}}
    scores = score({"aggregate": "sum", "component": [squeezed, {"name": "motif"}]})
    assert scores.raw["key"][0] == -1 and scores.transformed["key"][0] == 0.75
    motif = scores.step_raw["motif"][0, :32]
    np.testing.assert_allclose(scores.step_rewards[0, :32], motif, atol=1e-6)
    assert scores.step_rewards[0, 32] == pytest.approx(0.75)
    alone = score({"aggregate": "geometric_mean", "component": [squeezed]})
    assert alone.step_rewards is None and alone.rewards[0] == pytest.approx(0.75)
    assert alone.step_raw["key"][0].tolist().count(-1) == 1  # still kept


def test_melodies_of_several_lengths_and_invalid_text():
    melodies = ["C4-D4-E4", "C4" * 32, "no melody", "-" * 64, "C4"]
    scores = score({"aggregate": "sum", "component": [rules()], "invalid": -5.0}, melodies)
    status = [Status.OK, Status.OK, Status.INVALID, Status.OK, Status.INVALID]
    assert scores.status.tolist() == status
    assert scores.rewards[[2, 4]].tolist() == [-5, -5]
    first = rule_rewards(parse(melodies[0]).tokens, 5)
    assert scores.rewards[0] == pytest.approx(sum(v.sum() for v in first.values()))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ([rules(profile="jazz")], "profile"),
        ([rules(weights={"moti": 1.0})], "did you mean 'motif'"),
        ([rules(weights={"key": -1.0})], "greater than or equal to 0"),
        ([rules(weights=dict.fromkeys(RULE_NAMES, 0.0))], "weight above 0"),
        ([rules(label="mine")], "no label"),
        ([rules(), rules()], None),
        ([{"name": "qed"}], "unknown reward.component 'qed'"),
        ([{"name": "key", "profil": "paper"}], "did you mean 'profile'"),
    ],
)
def test_a_config_mistake_is_one_sentence(config: list[dict[str, Any]], words: str | None):
    if words is None:  # the same component twice is no mistake
        assert "key_2" in score({"aggregate": "sum", "component": config}).raw
        return
    with pytest.raises(ValueError, match=words):
        score({"component": config})


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (lambda g: [np.full(32, np.nan)] * g.size, "not finite"),
        (lambda g: [np.zeros(31)] * g.size, "returned 31 numbers for 32 actions"),
        (lambda g: ["x"] * g.size, "not one number per action"),
        (lambda g: [], "returned 0 rows for 3"),
        (lambda g: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_failing_rule_fails_its_melodies(
    values: Any, complaint: str, monkeypatch: pytest.MonkeyPatch
):
    broken = Component("broken", "melodies", lambda gathered: values(gathered), False, steps=True)
    monkeypatch.setitem(_COMPONENTS, ("melodies", "broken"), broken)
    scores = score({"component": [{"name": "broken"}, {"name": "key"}]})
    assert (scores.status == Status.FAILED).all() and np.isnan(scores.rewards).all()
    assert np.isnan(scores.step_rewards).all()
    for error in scores.errors:
        assert error.startswith("broken: ")
    assert re.search(complaint, scores.errors[0])
    assert np.isfinite(scores.raw["key"]).all()
