"""Transforms and means against hand calculation, and at the edges."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sequence_tutor.rewards import transforms
from sequence_tutor.rewards.aggregate import arithmetic_mean, geometric_mean
from sequence_tutor.rewards.bounds import reward_range
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.transforms import TRANSFORMS

OPTIONS: dict[str, dict[str, Any]] = {
    "sigmoid": {"low": 1.0, "high": 3.0},
    "reverse_sigmoid": {"low": 1.0, "high": 3.0},
    "double_sigmoid": {"low": 1.0, "high": 3.0},
    "step": {"low": 1.0, "high": 3.0},
    "reverse_step": {"low": 1.0, "high": 3.0},
    "linear": {"low": 1.0, "high": 3.0},
    "gaussian": {"mean": 2.0, "sigma": 0.5},
    "identity": {},
    "negate": {},
    "scale": {"factor": 2.0, "offset": 1.0},
    "left_step": {"low": 2.0},
    "right_step": {"high": 2.0},
    "exponential_decay": {"k": 0.5},
    "value_mapping": {"mapping": {"2": 3.0}, "otherwise": 1.5},
}


def apply(name: str, *x: float, **options: Any) -> np.ndarray:
    return transforms.apply(name, x, **(options or OPTIONS[name]))


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("sigmoid", 2.5, 1 / (1 + math.exp(-2.5))),
        ("reverse_sigmoid", 2.5, 1 / (1 + math.exp(2.5))),
        ("double_sigmoid", 1.2, 1 / ((1 + math.exp(-2)) * (1 + math.exp(-18)))),
        ("linear", 1.5, 0.25),
        ("gaussian", 2.5, math.exp(-0.5)),
        ("step", 3.0, 1.0),
        ("step", 3.1, 0.0),
        ("reverse_step", 3.1, 1.0),
        ("negate", 4.0, -4.0),
        ("scale", 4.0, 9.0),
        ("identity", 4.0, 4.0),
        ("left_step", 2.0, 1.0),
        ("left_step", 2.1, 0.0),
        ("right_step", 2.0, 1.0),
        ("right_step", 1.9, 0.0),
        ("exponential_decay", 3.0, math.exp(-1.5)),
        ("exponential_decay", -3.0, 1.0),
        ("value_mapping", 2.0, 3.0),
        ("value_mapping", 2.1, 1.5),
    ],
)
def test_transforms_follow_their_formulas(name: str, x: float, expected: float) -> None:
    assert apply(name, x)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_bounded_transforms_stay_in_0_1_without_warnings(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = apply(name, -1e200, -1e3, 0.0, 2.0, 1e3, 1e200)
    assert np.isfinite(values).all()
    assert TRANSFORMS[name].bounded == bool(((values >= 0) & (values <= 1)).all())
    assert np.isnan(apply(name, math.nan)[0])


@pytest.mark.parametrize(("name", "sign"), [("sigmoid", 1), ("reverse_sigmoid", -1), ("linear", 1)])
def test_sigmoids_and_linear_are_monotone(name: str, sign: int) -> None:
    assert (sign * np.diff(apply(name, *np.linspace(1.0, 3.0, 50))) > 0).all()


@pytest.mark.parametrize("name", ["sigmoid", "double_sigmoid", "step", "linear"])
def test_low_above_high_raises(name: str) -> None:
    with pytest.raises(ValueError, match="low must be below high"):
        apply(name, 1.0, low=3.0, high=1.0)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("sigmod", {}, "did you mean 'sigmoid'"),
        ("left_step", {"hihg": 1.0}, "allowed: low"),
        ("left_step", {"low": math.inf}, "must be finite"),
        ("exponential_decay", {"k": 0.0}, "k must be positive"),
        ("value_mapping", {}, "needs the option 'mapping'"),
        ("value_mapping", {"mapping": {}}, "at least one key"),
        ("value_mapping", {"mapping": {"MMP": 1.0}}, "key 'MMP' of mapping is not a number"),
        ("value_mapping", {"mapping": {"1": 1.0, "1.0": 0.5}}, "the number 1 twice"),
        ("value_mapping", {"mapping": {"1": math.nan}}, "finite"),
        ("value_mapping", {"mapping": {"1": "x"}}, "mapping"),
    ],
)
def test_wrong_options_are_one_sentence(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        transforms.apply(name, [1.0], **options)
    assert "\n" not in str(error.value)


def test_a_value_without_a_mapping_fails() -> None:
    mapping = {"0": 0.25, "1.0": 1.0}
    values = transforms.apply("value_mapping", [0, 1, -0.0, 0.5, math.nan], mapping=mapping)
    assert values.tolist()[:3] == [0.25, 1.0, 0.25] and np.isnan(values[3:]).all()
    part = {"name": "hbd", "transform": {"type": "value_mapping", "mapping": mapping}}
    config = RewardConfig.model_validate({"component": [part], "aggregate": "geometric_mean"})
    scores = build_reward(config).score(["CO", "OCCO"])
    assert scores.rewards[0] == 1.0 and math.isnan(scores.rewards[1])
    assert scores.errors[1].startswith("hbd: ")
    assert reward_range(config, "molecules") == (0.25, 1.0)
    part["transform"] = {"type": "value_mapping", "mapping": {"0": 2.0}}
    with pytest.raises(ValueError, match="geometric_mean needs"):  # control
        build_reward(config.model_validate(config.model_dump() | {"component": [part]}))


REFERENCE = Path(__file__).resolve().parents[4] / "shared/data/reinvent4/reinvent4_transforms.json"
LN10 = math.log(10.0)


def in_our_terms(name: str, params: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Our transform and options for one of REINVENT4; None where the definition differs."""
    low, high = params.get("low"), params.get("high")
    if name in ("sigmoid", "reverse_sigmoid") and low < high:
        # theirs has 10 to the power of 10 k (x - m) / (high - low)
        return name, {"low": low, "high": high, "steepness": 10.0 * LN10 * params["k"]}
    if name == "double_sigmoid":
        div = params.get("coef_div", 100.0)
        if div > 0:
            rise, fall = (LN10 * params.get(f"coef_{side}", 150.0) / div for side in ("si", "se"))
            slopes = {"steepness": rise * (high - low), "steepness_high": fall * (high - low)}
            return name, {"low": low, "high": high, **slopes}
    if name == "step" and low < high:
        return name, {"low": low, "high": high}
    if name in ("left_step", "right_step", "leftstep", "rightstep"):
        return name.replace("tstep", "t_step"), params
    if name == "exponential_decay":
        return name, params
    return None


def test_transforms_equal_those_of_reinvent4() -> None:
    """Not the same: NaN, which stays NaN here; low not below high, and a slope that is infinite
    (coef_div = 0), errors here; values that are texts, which components don't have here; and three
    transforms of PUMAS alone."""
    if not REFERENCE.is_file():
        pytest.skip(f"shared/data/{REFERENCE.name} is missing")
    compared, left = [], []
    for case in json.loads(REFERENCE.read_text())["cases"]:
        known = in_our_terms(case["type"], case["params"])
        if known is None:
            left.append(case["type"])
            continue
        x = np.array(case["inputs"], dtype=np.float64)
        theirs = np.array(case["outputs"], dtype=np.float64)
        own = transforms.apply(known[0], x, **known[1])
        assert np.isnan(own[np.isnan(x)]).all()
        assert np.nanmax(np.abs(own - theirs)) < 1e-6, case["params"]
        assert np.nanmax(np.abs(own[::-1] - theirs)) > 0.4  # control
        compared.append(case["type"])
    assert len(compared) == 25 and sorted(set(left)) == [
        "bell",
        "double_sigmoid",
        "multistep",
        "reverse_sigmoid",
        "sigmoid",
        "sigmoid_bell",
        "step",
        "value_mapping",
    ]


def test_a_value_mapping_of_numbers_equals_that_of_reinvent4() -> None:
    """Its keys are compared as text there: the number 1 isn't "1.0", but 1.0 is. Here all of them
    are numbers, so the case is compared for its decimal numbers."""
    if not REFERENCE.is_file():
        pytest.skip(f"shared/data/{REFERENCE.name} is missing")
    cases = json.loads(REFERENCE.read_text())["cases"]
    (case,) = [c for c in cases if "2.0" in c["params"].get("mapping", {})]
    pairs = zip(case["inputs"], case["outputs"], strict=True)
    # -0.0 is "-0.0" there
    decimal = [(x, y) for x, y in pairs if isinstance(x, float) and math.copysign(1, x) > 0]
    own = transforms.apply("value_mapping", [x for x, _ in decimal], **case["params"])
    assert len(decimal) == 4
    assert own.tolist()[:2] == [y for _, y in decimal][:2]
    np.testing.assert_array_equal(own, np.array([y for _, y in decimal], dtype=np.float64))


def test_means_by_hand() -> None:
    values, weights = np.array([[0.25, 1.0], [0.0, 1.0]]), np.array([1.0, 3.0])
    assert arithmetic_mean(values, weights).tolist() == [0.8125, 0.75]
    assert geometric_mean(values, weights) == pytest.approx([0.25**0.25, 0.0])
    assert geometric_mean(values, np.array([0.0, 1.0])).tolist() == [1.0, 1.0]


def test_means_of_negative_values_or_zero_weights_raise() -> None:
    with pytest.raises(ValueError, match="not negative"):
        geometric_mean(np.array([[-0.1, 0.5]]), np.ones(2))
    with pytest.raises(ValueError, match="not all zero"):
        arithmetic_mean(np.ones((1, 2)), np.zeros(2))
