"""The range of a reward against real rewards of random component values."""

from __future__ import annotations

import math
import random
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_files import linear_onnx

from sequence_tutor.rewards import registry
from sequence_tutor.rewards.bounds import UNKNOWN, reward_range
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.described import example_of
from sequence_tutor.rewards.molecules.domain import MoleculeDomain
from sequence_tutor.rewards.registry import component

INF = math.inf
LIMITS = {
    "test_unit": (0.0, 1.0),
    "test_count": (0.0, INF),
    "test_hard": (1.0, 10.0),
    "test_penalty": (-INF, 0.0),
    "test_any": UNKNOWN,
}
TRANSFORMS: list[dict[str, Any] | None] = [
    None,
    {"type": "identity"},
    {"type": "negate"},
    {"type": "scale", "factor": -0.3, "offset": 0.7},
    {"type": "scale", "factor": 2.5},
    {"type": "scale", "factor": 0.0, "offset": 3.0},
    {"type": "sigmoid", "low": 1.0, "high": 4.0},
    {"type": "reverse_sigmoid", "low": 1.0, "high": 4.0},
    {"type": "double_sigmoid", "low": 1.0, "high": 4.0},
    {"type": "step", "low": 2.0},
    {"type": "reverse_step", "low": 2.0},
    {"type": "linear", "low": 0.0, "high": 4.0},
    {"type": "gaussian", "mean": 2.0, "sigma": 0.5},
    {"type": "double_sigmoid", "low": 1.0, "high": 4.0, "steepness_high": 3.0},
    {"type": "left_step", "low": 2.0},
    {"type": "right_step", "high": 2.0},
    {"type": "exponential_decay", "k": 0.5},
    {"type": "value_mapping", "mapping": {"0": 3.0, "1": -2.0, "10": 0.5}, "otherwise": 1.0},
    {"type": "value_mapping", "mapping": {"0": 0.5, "1": 1}},
]
drawn: dict[str, float] = {}


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A component of each kind of range; it returns its value in `drawn`."""
    MoleculeDomain().load_components()
    monkeypatch.setattr(registry, "_COMPONENTS", dict(registry._COMPONENTS))
    for name, (least, most) in LIMITS.items():
        if (least, most) == (0.0, 1.0):
            component(name, domain="molecules", bounded=True)(_returns_drawn(name))
        else:
            component(name, domain="molecules", least=least, most=most)(_returns_drawn(name))


def _returns_drawn(name: str) -> Callable[[object], float]:
    return lambda molecule: drawn[name]


def range_of(*parts: dict[str, Any], domain: str = "molecules", **section: Any) -> tuple[Any, Any]:
    return reward_range(RewardConfig.model_validate({"component": list(parts), **section}), domain)


def _draw(name: str) -> float:
    """A value in the range of a component, often one of its ends, sometimes huge."""
    least, most = LIMITS[name]
    far = random.choice([3.0, 1e4, 1e300])
    low, high = max(least, -far), min(most, far)
    return random.choice([low, high, random.uniform(low, high)])


@pytest.mark.parametrize("aggregate", ["arithmetic_mean", "sum", "geometric_mean"])
def test_every_reward_is_in_its_range(limited: None, aggregate: str) -> None:
    random.seed(aggregate)
    known = 0
    for _ in range(200):
        parts = []
        for _ in range(random.randint(1, 4)):
            transform = random.choice(TRANSFORMS)
            part = {"name": random.choice(list(LIMITS)), "weight": random.choice([0.0, 0.3, 1.0])}
            parts.append(part | ({} if transform is None else {"transform": transform}))
        config = {"component": parts, "aggregate": aggregate}
        try:
            objective = build_reward(RewardConfig.model_validate(config))
        except ValueError:
            continue  # no weight at all, or not in 0..1 as the geometric mean needs it
        low, high = range_of(*parts, aggregate=aggregate)
        known += math.isfinite(low) or math.isfinite(high)
        for _ in range(20):
            drawn.update({name: _draw(name) for name in LIMITS})
            reward = objective.score(["CCO"]).rewards[0]
            assert math.isnan(reward) or low <= reward <= high, (parts, drawn)
    assert known > 30


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"name": "sa"}, (1.0, 10.0)),
        ({"name": "sa", "transform": {"type": "negate"}}, (-10.0, -1.0)),
        ({"name": "sa", "transform": {"type": "scale", "factor": -2.0, "offset": 1}}, (-19, -1)),
        ({"name": "hbd"}, (0.0, INF)),
        ({"name": "hbd", "transform": {"type": "negate"}}, (-INF, 0.0)),
        ({"name": "ring_penalty"}, (-INF, 0.0)),
        ({"name": "qed"}, (0.0, 1.0)),
        ({"name": "logp"}, UNKNOWN),
        ({"name": "logp", "transform": {"type": "scale", "factor": 0.0, "offset": 2.0}}, (2, 2)),
        ({"name": "sequence_tutor"}, UNKNOWN),
        ({"name": "python", "function": "not_there:at_all"}, UNKNOWN),
        (
            {
                "name": "python",
                "function": "not_there:at_all",
                "transform": {"type": "linear", "low": -12.0, "high": -4.0},
            },
            (0.0, 1.0),
        ),
    ],
)
def test_range_of_one_component(part: dict[str, Any], expected: tuple[float, float]) -> None:
    assert range_of(part) == expected


def test_both_ends_of_a_range_are_reached(limited: None) -> None:
    """The reward is at an end of its range if all components are at theirs."""
    parts = [
        {"name": "test_hard", "weight": 0.3, "transform": {"type": "negate"}},
        {"name": "test_unit", "weight": 0.7},
    ]
    for aggregate in ("arithmetic_mean", "sum"):
        config = RewardConfig.model_validate({"component": parts, "aggregate": aggregate})
        objective = build_reward(config)
        drawn.update(test_hard=10.0, test_unit=0.0)
        least = objective.score(["C"]).rewards[0]
        drawn.update(test_hard=1.0, test_unit=1.0)
        assert (least, objective.score(["C"]).rewards[0]) == reward_range(config, "molecules")


def test_weight_0_and_step_rewards_in_a_range() -> None:
    negated = {"name": "sa", "transform": {"type": "negate"}}
    assert range_of(negated, {"name": "logp", "weight": 0.0}) == (-10.0, -1.0)
    assert range_of({"name": "music_theory"}, domain="melodies") == UNKNOWN
    python = {"name": "python", "function": "a:b"}
    assert range_of(python, {"name": "qed"}, aggregate="geometric_mean") == (0.0, 1.0)


def test_declared_limits_hold_for_molecules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ranges that our own components declare, for molecules with extreme values."""
    molecules = ["C", "[He]", "C" * 300, "C1" + "C" * 40 + "1", "c1ccccc1" * 5, "[Na+].[Cl-]"]
    molecules += ["C1CC2CCC1C2", "F[C@](Cl)(Br)[C@@](F)(Cl)I", "OP(O)(=O)O[Si](O)(O)O", "[H][H]"]
    monkeypatch.chdir(tmp_path)
    Path("known.smi").write_text("CCO\nc1ccccc1")
    Path("rings.json").write_text('{"rings": {"c1ccccc1": 1.0, "linear": 2.0}}')
    Path("model.onnx").write_bytes(linear_onnx([1.0] * 1024))
    for name, found in registry.components("molecules").items():
        if found.range == (-math.inf, math.inf):
            continue
        (part,) = tomllib.loads(f"parts = [{example_of(found)}]")["parts"]
        part.pop("transform", None)
        if name in ("drd2", "gsk3b", "jnk3"):
            part["model"] = str(Path(__file__).parent / "classifiers" / "rf.pkl")
        # conformers of huge molecules take minutes
        chosen = molecules[4:] if name in ("pmi", "shape", "volume") else molecules
        scores = build_reward(RewardConfig.model_validate({"component": [part]})).score(chosen)
        rewards = scores.rewards[scores.status == 0]
        assert len(rewards) >= len(chosen) - 1, (name, scores.errors)
        assert (rewards >= found.range[0]).all() and (rewards <= found.range[1]).all(), name


def test_limits_are_checked_at_registration() -> None:
    def judge(molecule: object) -> float:
        return 0.0

    with pytest.raises(ValueError, match="least = 2"):
        component("test_wrong", domain="molecules", least=2.0, most=1.0)(judge)
    with pytest.raises(ValueError, match="bounded"):
        component("test_wrong", domain="molecules", bounded=True, least=0.5)(judge)
    assert "test_wrong" not in registry.components("molecules")


def test_a_range_that_overflows_is_not_finite() -> None:
    part = {"name": "sa", "transform": {"type": "scale", "factor": -1e308}}
    low, _ = range_of(part)
    assert not math.isfinite(low)
    assert np.isnan(
        build_reward(RewardConfig.model_validate({"component": [part]}))
        .score(["F[C@](Cl)(Br)[C@@](F)(Cl)I"])
        .rewards[0]
    )
