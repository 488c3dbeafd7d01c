"""Transforms and means against hand calculation, and at the edges."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from sequence_tutor.rewards.aggregate import arithmetic_mean, geometric_mean
from sequence_tutor.rewards.transforms import TRANSFORMS

OPTIONS = {
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
}


def apply(name: str, *x: float, **options: float) -> np.ndarray:
    return TRANSFORMS[name].function(np.array(x, dtype=np.float64), **(options or OPTIONS[name]))


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
