"""Rows of a table of mean rewards, with what each component adds, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.table_rows import RAW_MEANS, TableRows

MELODIES = ["C4---D4---E4---F4---G4---A4---B4---C5---", "C4-C4-C4-C4-C4-C4-C4-C4-"]


def config(**settings: object) -> RewardConfig:
    return RewardConfig.model_validate(settings)


@pytest.mark.parametrize("aggregate", ["sum", "arithmetic_mean"])
def test_what_components_add_is_the_reward(aggregate: str):
    components = [
        {"name": "music_theory", "weights": {"tonic": 0.5, "repetition": 0.1}},
        {
            "name": "motif",
            "label": "soft motif",
            "weight": 3.0,
            "transform": {"type": "sigmoid", "low": 0.0, "high": 20.0},
        },
    ]
    reward = config(aggregate=aggregate, component=components)
    scores = build_reward(reward, "melodies").score(MELODIES)
    means = TableRows.of(reward, "melodies").means(scores.rewards, scores.raw)
    adds = [value for name, value in means.items() if name.startswith("adds: ")]
    assert len(adds) == len(scores.raw) == 10
    assert sum(adds) == pytest.approx(means["reward"]) == pytest.approx(scores.rewards.mean())
    assert means["adds: tonic"] != pytest.approx(means["reward: tonic"])


def test_each_row_says_its_profile():
    components = [
        {"name": "key"},
        {"name": "leaps", "profile": "paper", "weight": 2.0},
        {"name": "human_range"},
    ]
    notes = TableRows.of(config(aggregate="sum", component=components), "melodies").notes
    assert notes["reward: key"] == notes["adds: key"] == "corrected"
    assert notes["reward: leaps"] == "paper"
    assert not any("range" in name for name in notes)


def test_plain_sums_and_other_aggregates_have_raw_means_alone():
    values = {"a": np.array([1.0, np.nan]), "b": np.array([3.0, 5.0])}
    plain = {"aggregate": "sum", "component": [{"name": "key"}, {"name": "tonic"}]}
    powers = {
        "aggregate": "geometric_mean",
        "component": [{"name": "qed", "weight": 2.0}, {"name": "qed", "label": "again"}],
    }
    for reward, domain in ((plain, "melodies"), (powers, "molecules")):
        rows = TableRows.of(config(**reward), domain)
        means = rows.means(np.array([2.0, 4.0]), values)
        assert means == {"reward": 3.0, "reward: a": 1.0, "reward: b": 4.0}
    alone = RAW_MEANS.means(np.array([2.0]), {"a": np.array([2.0])})
    assert alone == {"reward": 2.0}
