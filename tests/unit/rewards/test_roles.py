"""Filters and penalties: what they multiply, in which order they come, and what they save."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from sequence_tutor.rewards import registry
from sequence_tutor.rewards.base import Scores, Status
from sequence_tutor.rewards.bounds import reward_range, worth_of_invalid
from sequence_tutor.rewards.compile import build_reward, call_order
from sequence_tutor.rewards.compiled_reward import Objective
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.domains import domain_named
from sequence_tutor.rewards.registry import component

ETHANOL, PHENOL, NITRO, AMINE = "CCO", "Oc1ccccc1", "O=[N+]([O-])c1ccccc1", "CCN"
SMILES = [ETHANOL, PHENOL, NITRO, AMINE, "C("]
NO_NITRO = {"name": "substructure", "smarts": "[N+](=O)[O-]", "absent": True, "role": "filter"}
CALLED: list[str] = []


@pytest.fixture(autouse=True)
def components_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    domain_named("molecules").load_components()
    monkeypatch.setattr(registry, "_COMPONENTS", dict(registry._COMPONENTS))

    @component("dear_for_a_test", domain="molecules", bounded=True)
    def dear(molecule: Any) -> float:
        """0.8, and a note of the call."""
        CALLED.append(molecule.smiles)
        return 0.8

    @component("fails_for_a_test", domain="molecules", bounded=True)
    def fails(molecule: Any) -> float:
        """1, but an error for nitrogen."""
        if "N" in molecule.smiles:
            raise RuntimeError("no parameters")
        return 1.0


def config(*components: dict[str, Any], **changes: Any) -> RewardConfig:
    return RewardConfig.model_validate({"component": list(components)} | changes)


def reward(*components: dict[str, Any], **changes: Any) -> Objective:
    return build_reward(config(*components, **changes))


def score(objective: Objective) -> Scores:
    CALLED.clear()
    return objective.score(SMILES)


DEAR = {"name": "dear_for_a_test"}
NO_RING = {"name": "ring_count", "transform": {"type": "step", "high": 0}, "role": "filter"}


@pytest.mark.parametrize("aggregate", ["arithmetic_mean", "geometric_mean", "sum"])
def test_a_filter_multiplies_and_spares_what_comes_after_it(aggregate: str):
    scores = score(reward(DEAR, {"name": "qed", "weight": 0.0}, NO_NITRO, aggregate=aggregate))
    assert scores.rewards[:4] == pytest.approx([0.8, 0.8, 0.0, 0.8])
    assert scores.status.tolist() == [Status.OK] * 4 + [Status.INVALID]
    assert CALLED == [ETHANOL, PHENOL, AMINE] and scores.errors[:4] == [""] * 4
    assert np.isnan(scores.raw["dear_for_a_test"]).tolist() == [False, False, True, False, True]
    assert scores.raw["substructure"][:4].tolist() == [1, 1, 0, 1]
    assert list(scores.raw) == ["dear_for_a_test", "qed", "substructure"]  # as configured


def test_a_control_without_filters_calls_all():
    assert score(reward(DEAR, {"name": "qed"})).rewards[2] > 0
    assert CALLED == [ETHANOL, PHENOL, NITRO, AMINE]


def test_the_cheapest_filter_comes_first():
    alerts = {"name": "alerts", "catalogues": ["PAINS"], "role": "filter"}
    soft = {"name": "sa", "transform": {"type": "reverse_sigmoid", "low": 1, "high": 9}}
    objective = reward(DEAR, soft | {"role": "penalty"}, alerts, NO_RING)
    assert objective.order == ("ring_count", "alerts", "sa", "dear_for_a_test")
    assert objective.keys == ("dear_for_a_test", "sa", "alerts", "ring_count")
    scores = score(objective)
    assert CALLED == [ETHANOL, AMINE]  # the others have rings
    assert np.isnan(scores.raw["alerts"][1:3]).all() and (scores.rewards[1:3] == 0).all()
    both = score(reward(DEAR, alerts, NO_RING))
    penalty = scores.transformed["sa"][0]
    assert 0 < penalty < 1 and scores.rewards[0] == pytest.approx(0.8 * penalty)
    assert both.rewards[0] == pytest.approx(0.8)


def test_the_order_is_said_without_importing_a_users_function():
    mine = {"name": "python", "function": "no_such_module:mine", "role": "filter", "label": "mine"}
    said = call_order(config(mine, DEAR, NO_RING, {"name": "qed"}))
    assert said.endswith(": ring_count (filter), mine (filter), qed, dear_for_a_test")
    assert call_order(config(DEAR, {"name": "qed"})) == ""
    with pytest.raises(ValueError, match="no_such_module"):
        reward(mine, DEAR)  # a control


def test_each_reward_is_the_product_by_hand():
    """Against the same components as scores, multiplied here."""
    mean = [{"name": "qed", "weight": 2.0}, {"name": "validity"}]
    step = {"type": "step", "low": 0.4}
    penalty = {"name": "similarity", "smiles": PHENOL}
    factors = [{"name": "csp3", "transform": step}, penalty]
    apart = [reward(one).score(SMILES).rewards[:4] for one in factors]
    expected = reward(*mean).score(SMILES).rewards[:4] * apart[0] * apart[1]
    roles = [factors[0] | {"role": "filter"}, penalty | {"role": "penalty"}]
    found = reward(*mean, *roles).score(SMILES).rewards[:4]
    assert found == pytest.approx(expected, abs=1e-15)
    assert 0 in expected.tolist() and max(expected) > 0


def test_a_value_that_is_no_filter_fails_the_sequence():
    scores = score(reward(DEAR, {"name": "csp3", "role": "filter"}))
    assert scores.status.tolist()[:2] == [Status.OK, Status.OK]  # 1 and 0
    half = score(reward(DEAR, {"name": "qed", "role": "filter"}))
    assert half.status[0] == Status.FAILED and "a filter is 0 or 1" in half.errors[0]
    large = score(reward(DEAR, {"name": "logp", "role": "penalty"}))
    assert large.status[1] == Status.FAILED and "outside 0..1" in large.errors[1]


def test_a_filter_that_fails_leaves_the_reward_unknown():
    scores = score(reward(DEAR, {"name": "fails_for_a_test", "role": "filter"}))
    assert scores.status[3] == Status.FAILED and math.isnan(scores.rewards[3])
    assert "no parameters" in scores.errors[3]
    assert CALLED == [ETHANOL, PHENOL]  # the nitro group has nitrogen too


def test_a_reward_below_0_cannot_be_filtered():
    scores = score(reward({"name": "ring_penalty"}, {"name": "logp"}, NO_NITRO, aggregate="sum"))
    low = int(np.argmin(np.where(np.isnan(scores.raw["logp"]), 9, scores.raw["logp"])))
    assert scores.raw["logp"][low] < 0 and scores.status[low] == Status.FAILED
    assert "is below 0" in scores.errors[low] and math.isnan(scores.rewards[low])
    assert scores.status[2] == Status.OK and scores.rewards[2] == 0  # filtered


def test_the_range_and_the_worth_of_an_invalid_sequence():
    assert reward_range(config(DEAR, NO_NITRO), "molecules") == (0.0, 1.0)
    assert reward_range(config({"name": "logp"}, NO_NITRO), "molecules") == (0.0, math.inf)
    assert worth_of_invalid(config({"name": "logp"}, NO_NITRO), "molecules").value == 0.0


def test_the_identity_is_as_before_without_roles_and_another_with_them():
    plain = config({"name": "qed"}, {"name": "csp3"})
    assert plain.identity() == config({"name": "qed", "role": "score"}, {"name": "csp3"}).identity()
    assert plain.identity() == "374ca946790390c3"
    assert (
        plain.identity() != config({"name": "qed"}, {"name": "csp3", "role": "penalty"}).identity()
    )


@pytest.mark.parametrize(
    ("components", "message"),
    [
        ([NO_NITRO], "needs a weight above 0, as a score"),
        ([DEAR, NO_NITRO | {"weight": 2}], "multiplies the reward and has no weight"),
        ([DEAR, NO_NITRO | {"role": "filters"}], "role"),
    ],
)
def test_bad_roles_are_one_sentence(components: list[dict[str, Any]], message: str):
    with pytest.raises(ValueError, match=message):
        reward(*components)
