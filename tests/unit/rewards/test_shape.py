"""Measures of shape, and the conformers that they share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sequence_tutor.rewards import score_one
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig

ASPIRIN, SALICYLATE = "CC(=O)Oc1ccccc1C(=O)O", "OC(=O)c1ccccc1O"


def test_shape_and_moments_are_repeatable() -> None:
    assert score_one("shape", ASPIRIN, smiles=ASPIRIN, conformers=2) == pytest.approx(1, abs=1e-3)
    options = {"smiles": ASPIRIN, "conformers": 2}
    near, far = (score_one("shape", s, **options) for s in (SALICYLATE, "CCCCCCCCCCCC"))
    assert 0 < far < near < 1
    assert near == score_one("shape", SALICYLATE, **options)
    both = {"smiles": ["CCCCCCCCCCCC", ASPIRIN], "conformers": 2}
    assert score_one("shape", SALICYLATE, **both) == near
    colored = score_one("shape", "CCc1ccccc1CC", color_weight=0.5, **options)
    assert colored < score_one("shape", "CCc1ccccc1CC", **options)  # no donors to agree
    for name in ("npr1", "npr2"):
        values = {score_one("pmi", ASPIRIN, property=name) for _ in range(3)}
        assert len(values) == 1
    rod, disc, ball = "C#CC#CC#C", "c1ccccc1", "C"
    moments = [
        [score_one("pmi", s, property=p) for p in ("npr1", "npr2")] for s in (rod, disc, ball)
    ]
    assert np.allclose(moments, [[0, 1], [0.5, 0.5], [1, 1]], atol=0.1)
    assert score_one("volume", "CCO") < score_one("volume", "CCCCO")


def test_a_conformer_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Volume and both moments of a molecule share it."""
    from sequence_tutor.rewards.molecules import molecule

    calls: list[int] = []
    made = molecule.conformers
    monkeypatch.setattr(molecule, "conformers", lambda m, n: calls.append(n) or made(m, n))
    parts: list[dict[str, Any]] = [{"name": "volume", "grid_spacing": 1.0}, {"name": "pmi"}]
    parts.append({"name": "pmi", "property": "npr2", "label": "other"})
    scores = build_reward(RewardConfig.model_validate({"component": parts})).score([ASPIRIN])
    assert scores.errors == [""] and calls == [1]
