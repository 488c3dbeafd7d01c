"""Means and products: against the values of REINVENT4 and PUMAS, and in a reward."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sequence_tutor.rewards.aggregate import AGGREGATES, product, weighted_product
from sequence_tutor.rewards.bounds import reward_range
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig

FILE = Path(__file__).resolve().parents[4] / "shared/data/reinvent4/reinvent4_aggregation.json"
needs_file = pytest.mark.skipif(not FILE.is_file(), reason=f"shared/data/{FILE.name} is missing")
# Ours -> REINVENT4's, or that of PUMAS, which has the sum and the product.
THEIRS = {
    "arithmetic_mean": "arithmetic_mean",
    "geometric_mean": "geometric_mean",
    "sum": "summation",
    "weighted_product": "product",
}
# Theirs raises scores to 1e-8 before the geometric mean, so that it is never 0.
RAISED = {"zero", "tiny", "allzero"}


@cache
def cases() -> list[dict[str, Any]]:
    """Those in which every score is a number that isn't negative, and a weight isn't 0: a missing
    score is a failure here, the other two are errors."""
    rows: list[dict[str, Any]] = json.loads(FILE.read_text())["rows"]
    return [
        row
        for row in rows
        if all(score is not None and score >= 0 for score in row["scores"]) and any(row["weights"])
    ]


@needs_file
@pytest.mark.parametrize("name", THEIRS)
def test_aggregates_of_reinvent4(name: str):
    compared = 0
    for row in cases():
        if name == "geometric_mean" and row["case"] in RAISED:
            continue
        theirs = {**row["use_pumas"], **row}[THEIRS[name]]
        ours = AGGREGATES[name](np.array([row["scores"]]), np.array(row["weights"]))
        assert ours[0] == pytest.approx(theirs, rel=1e-6, abs=1e-6), row["case"]
        compared += 1
    assert compared >= 6


@needs_file
def test_the_plain_product_is_theirs_with_equal_weights():
    found = {row["case"]: row for row in cases()}
    row = found["equal"]
    assert set(row["weights"]) == {1.0}
    ours = product(np.array([row["scores"]]), np.ones(len(row["scores"])))
    assert ours[0] == pytest.approx(row["use_pumas"]["product"], abs=1e-6)
    other = found["plain"]  # control: weights do count there
    unweighted = product(np.array([other["scores"]]), np.array(other["weights"]))
    assert abs(unweighted[0] - other["use_pumas"]["product"]) > 1e-3
    assert unweighted[0] == pytest.approx(math.prod(other["scores"]))


def test_products():
    values = np.array([[0.5, 0.8], [0.0, 1.0], [math.nan, 1.0]])
    np.testing.assert_allclose(product(values, np.array([1.0, 1.0])), [0.4, 0.0, math.nan])
    np.testing.assert_allclose(product(values[:2], np.array([0.0, 1.0])), [0.8, 1.0])
    weighted = weighted_product(values, np.array([2.0, 0.5]))
    np.testing.assert_allclose(weighted, [0.25 * 0.8**0.5, 0.0, math.nan])
    for function in (product, weighted_product):
        with pytest.raises(ValueError, match="not negative"):
            function(np.array([[-0.1, 0.5]]), np.ones(2))


def config(aggregate: str, *parts: dict[str, Any]) -> RewardConfig:
    return RewardConfig.model_validate({"aggregate": aggregate, "component": list(parts)})


def test_a_product_of_components():
    parts = {"name": "qed"}, {"name": "csp3"}, {"name": "heavy_atoms", "weight": 0}
    squeezed = parts[2] | {"transform": {"type": "linear", "low": 0, "high": 50}}
    one = config("product", *parts[:2], squeezed)
    scores = build_reward(one).score(["CCc1ccccc1", "c1ccccc1"])
    expected = scores.raw["qed"] * scores.raw["csp3"]
    np.testing.assert_allclose(scores.rewards, expected)
    assert scores.rewards[0] > 0 == scores.rewards[1]
    assert reward_range(one, "molecules") == (0.0, 1.0)
    twice = build_reward(config("weighted_product", parts[0] | {"weight": 2}, parts[1]))
    raw = scores.raw
    found = twice.score(["CCc1ccccc1"]).rewards[0]
    assert found == pytest.approx(raw["qed"][0] ** 2 * raw["csp3"][0])


@pytest.mark.parametrize("aggregate", ["product", "weighted_product"])
def test_products_need_components_in_0_to_1(aggregate: str):
    with pytest.raises(ValueError, match=f"{aggregate} needs every component in 0..1"):
        build_reward(config(aggregate, {"name": "logp"}))


def test_a_product_with_a_weight_is_refused():
    with pytest.raises(ValueError, match=r"'qed' has weight = 2: .* \"weighted_product\""):
        build_reward(config("product", {"name": "qed", "weight": 2}))
