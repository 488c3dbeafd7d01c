"""A screen that predicts components keeps to what the rows are worth."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from searching import open_replay

from sequence_tutor.distributed.replay.messages import RecordView
from sequence_tutor.distributed.screening.screen import Screen
from sequence_tutor.distributed.search_config import ScreenConfig
from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.pareto import dominated_by, rank_rewards

DOMAIN = domain_of("smiles")


def taught(place: Path, molecules: list[str], reward: dict[str, Any], factor: float) -> Any:
    """A screen that has learned from the first 60 molecules, of which those with a nitrogen atom
    are worth `factor` of their reward; the others' components; and the predictions for both."""
    objective = build_reward(RewardConfig.model_validate(reward))
    known = sorted({str(DOMAIN.key(text)) for text in molecules[:60]})
    scores = objective.score(known)
    factors = np.where(["N" in key for key in known], factor, 1.0)
    n = len(known)
    view = RecordView(
        known,
        known,
        ["policy"] * n,
        scores.rewards * factors,
        n,
        scores.transformed,
        np.ones(n, bool),
        factors,
    )
    prior: Any = SimpleNamespace(encoding=SmilesEncoding.fit(molecules, max_length=60))
    config = ScreenConfig(start=20, learns="components")
    screen = Screen(config, None, DOMAIN, prior, open_replay(place), objective, seed=0)
    screen._learn(view)
    return objective, screen, screen._predict(known).means, scores, factors


def test_what_diversity_leaves_of_a_reward_is_predicted_with_it(
    tmp_path: Path, molecules: list[str]
):
    reward = {"component": [{"name": "qed"}, {"name": "csp3"}]}
    _, _, plain, _, _ = taught(tmp_path / "plain", molecules, reward, 1.0)
    _, _, lowered, _, factors = taught(tmp_path / "lowered", molecules, reward, 0.0)
    full, none = factors == 1, factors == 0
    assert full.sum() > 10 and none.sum() > 10
    assert lowered[none, 0].mean() < 0.5 * plain[none, 0].mean()
    assert lowered[full, 0].mean() > 0.7 * plain[full, 0].mean()


def test_ranks_are_predicted_from_components(tmp_path: Path, molecules: list[str]):
    reward = {"aggregate": "pareto", "component": [{"name": "qed"}, {"name": "csp3"}]}
    objective, screen, means, scores, _ = taught(tmp_path / "record", molecules, reward, 1.0)
    values = np.stack(list(scores.transformed.values()), axis=1)
    predicted = np.clip(means[:, 1:], values.min(0), values.max(0))
    np.testing.assert_allclose(means[:, 0], rank_rewards(dominated_by(predicted, values)))
    assert not np.allclose(means[:, 0], objective.combined(predicted))
