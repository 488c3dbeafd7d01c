"""Transforms of a component's raw values, so that they can be aggregated with others.

Each is a pure function of float64 [B] and its options, and returns float64 [B]; NaN stays NaN.
Options are checked on every call, so calling one with an empty array validates a configuration.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sequence_tutor.rewards.names import unknown
from sequence_tutor.rewards.options import check_options

Values = NDArray[np.float64]
Range = tuple[float, float]


def _check(low: float, high: float, steepness: float = 1.0) -> None:
    if not low < high:
        raise ValueError(f"low must be below high, got low = {low} and high = {high}")
    if not steepness > 0:
        raise ValueError(f"steepness must be positive, got {steepness}")


def _logistic(z: Values) -> Values:
    # 1 / (1 + exp(-z)) overflows for z < -709, this form doesn't
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * z)), dtype=np.float64)


def sigmoid(x: Values, low: float, high: float, steepness: float = 10.0) -> Values:
    """1 / (1 + exp(-steepness (x - m) / (high - low))), with m = (low + high) / 2.

    With the default steepness it is 0.0067 at `low`, 0.5 in the middle and 0.9933 at `high`.
    Raises ValueError unless low < high and steepness > 0.
    """
    _check(low, high, steepness)
    return _logistic(steepness * (x - 0.5 * (low + high)) / (high - low))


def reverse_sigmoid(x: Values, low: float, high: float, steepness: float = 10.0) -> Values:
    """1 - sigmoid(x): near 1 below `low`, near 0 above `high`.

    Errors as `sigmoid`.
    """
    _check(low, high, steepness)
    return _logistic(-steepness * (x - 0.5 * (low + high)) / (high - low))


def double_sigmoid(
    x: Values,
    low: float,
    high: float,
    steepness: float = 20.0,
    steepness_high: float | None = None,
) -> Values:
    """s(k (x - low)) s(k (high - x)), s the logistic function, k = steepness / (high - low).

    Near 1 between `low` and `high`, 0.5 at both, near 0 outside. With `steepness_high` the right
    side has its own k: below the middle it is s(k (x - low)), and from there s(k' (high - x)).
    Errors as `sigmoid`.
    """
    _check(low, high, steepness)
    k = steepness / (high - low)
    if steepness_high is None:
        return _logistic(k * (x - low)) * _logistic(k * (high - x))
    _check(low, high, steepness_high)
    rise, fall = k * (x - low), steepness_high / (high - low) * (high - x)
    return _logistic(np.where(x < 0.5 * (low + high), rise, fall))


def step(x: Values, low: float = -np.inf, high: float = np.inf) -> Values:
    """1 where low <= x <= high, else 0. By default a side has no limit."""
    _check(low, high)
    inside = ((x >= low) & (x <= high)).astype(np.float64)
    return np.where(np.isnan(x), np.nan, inside)


def reverse_step(x: Values, low: float = -np.inf, high: float = np.inf) -> Values:
    """0 where low <= x <= high, else 1."""
    return 1.0 - step(x, low, high)


def left_step(x: Values, low: float = 0.0) -> Values:
    """1 where x <= low, else 0."""
    return step(x, high=low)


def right_step(x: Values, high: float = 0.0) -> Values:
    """1 where x >= high, else 0."""
    return step(x, low=high)


def exponential_decay(x: Values, k: float = 1.0) -> Values:
    """exp(-k x) for x > 0; 1 for x <= 0.

    Raises ValueError unless k > 0.
    """
    if not k > 0:
        raise ValueError(f"k must be positive, got {k}")
    # exp(-800) is 0 in float64; the clip keeps the product of huge values finite
    return np.asarray(np.exp(-k * np.clip(x, 0.0, 800.0 / k)), dtype=np.float64)


def linear(x: Values, low: float, high: float) -> Values:
    """(x - low) / (high - low), clipped to [0, 1].

    Raises ValueError unless low < high.
    """
    _check(low, high)
    return np.clip((x - low) / (high - low), 0.0, 1.0)


def gaussian(x: Values, mean: float, sigma: float) -> Values:
    """exp(-((x - mean) / sigma)^2 / 2).

    Raises ValueError unless sigma > 0.
    """
    if not sigma > 0:
        raise ValueError(f"sigma must be positive, got {sigma}")
    # exp(-800) is 0 in float64; the clip keeps the square of a huge value finite
    z = np.clip((x - mean) / sigma, -40.0, 40.0)
    return np.asarray(np.exp(-0.5 * z * z), dtype=np.float64)


def identity(x: Values) -> Values:
    """x."""
    return x


def negate(x: Values) -> Values:
    """-x, for what should be small."""
    return -x


def scale(x: Values, factor: float, offset: float = 0.0) -> Values:
    """factor x + offset."""
    return factor * x + offset


def value_mapping(x: Values, mapping: dict[str, float], otherwise: float | None = None) -> Values:
    """The number that `mapping` has for x: { "0" = 0.2, "1" = 1.0 } gives 1.0 for 1.

    Keys are numbers in quotes. Any other x gives `otherwise`; without it NaN, so the sequence
    fails. Raises ValueError for keys that are no numbers or equal, and for values that aren't
    finite.
    """
    numbers = _numbers(mapping)
    missing = math.nan if otherwise is None else otherwise
    found = np.full(x.shape, missing, np.float64)
    for number, value in numbers.items():
        found[x == number] = value
    return np.where(np.isnan(x), np.nan, found)


def _numbers(mapping: Mapping[str, float]) -> dict[float, float]:
    """A mapping with its keys as numbers."""
    if not mapping:
        raise ValueError("mapping needs at least one key")
    numbers: dict[float, float] = {}
    for key, value in mapping.items():
        try:
            number = float(key)
        except ValueError:
            raise ValueError(f"key {key!r} of mapping is not a number") from None
        if not math.isfinite(number) or not math.isfinite(value):
            raise ValueError(f"mapping must have finite numbers, got {key!r} = {value}")
        if number in numbers:
            raise ValueError(f"mapping has the number {number:g} twice")
        numbers[number] = value
    return numbers


def _ends(function: Callable[..., Values], low: float, high: float, **options: Any) -> Range:
    """The range of a monotone function over low..high, computed as its values are, so that no value
    is outside it by rounding."""
    with np.errstate(all="ignore"):
        ends = function(np.array([low, high]), **options)
    return float(ends.min()), float(ends.max())


def identity_range(low: float, high: float) -> Range:
    """low..high."""
    return low, high


def negate_range(low: float, high: float) -> Range:
    """-high..-low."""
    return -high, -low


def scale_range(low: float, high: float, factor: float, offset: float = 0.0) -> Range:
    """The range of factor x + offset; a negative factor swaps its ends."""
    if factor == 0.0:  # 0 times an infinite end would be NaN
        return offset, offset
    return _ends(scale, low, high, factor=factor, offset=offset)


def value_mapping_range(
    low: float, high: float, mapping: dict[str, float], otherwise: float | None = None
) -> Range:
    """The range of the numbers that a mapping can give; NaN, a failure, isn't one."""
    values = [float(v) for v in mapping.values()] + ([] if otherwise is None else [otherwise])
    return min(values), max(values)


@dataclass(frozen=True)
class Transform:
    """A transform and the range of its values."""

    function: Callable[..., Values]
    """float64 [B] and options -> float64 [B]."""
    bounded: bool
    """Whether its values lie in [0, 1] for every input."""
    spread: Callable[..., Range] | None = None
    """low, high and options -> range of its values for low <= x <= high; None where `bounded`."""
    open_ended: bool = False
    """Whether its options may be infinite."""

    def range(self, low: float, high: float, /, **options: Any) -> Range:
        """The limits of its values for low <= x <= high, either of which may be infinite."""
        if self.spread is None:
            return (0.0, 1.0) if self.bounded else (-math.inf, math.inf)
        return self.spread(low, high, **options)


TRANSFORMS: dict[str, Transform] = {
    "sigmoid": Transform(sigmoid, True),
    "reverse_sigmoid": Transform(reverse_sigmoid, True),
    "double_sigmoid": Transform(double_sigmoid, True),
    "step": Transform(step, True, open_ended=True),
    "reverse_step": Transform(reverse_step, True, open_ended=True),
    "left_step": Transform(left_step, True),
    "right_step": Transform(right_step, True),
    "exponential_decay": Transform(exponential_decay, True),
    "linear": Transform(linear, True),
    "gaussian": Transform(gaussian, True),
    "identity": Transform(identity, False, identity_range),
    "negate": Transform(negate, False, negate_range),
    "scale": Transform(scale, False, scale_range),
    "value_mapping": Transform(value_mapping, False, value_mapping_range),
}


def check(type: str, options: Mapping[str, Any]) -> None:
    """Raises ValueError with one sentence for an unknown transform or a wrong option."""
    if type not in TRANSFORMS:
        raise ValueError(unknown("transform type", type, TRANSFORMS))
    found = TRANSFORMS[type]
    check_options("transform", type, options, found.function)
    for name, value in options.items():
        if isinstance(value, float) and not math.isfinite(value) and not found.open_ended:
            raise ValueError(f"option {name!r} of transform {type!r} must be finite, got {value}")
    found.function(np.empty(0), **options)  # the transform checks the values of its options


def apply(type: str, values: ArrayLike, **options: Any) -> Values:
    """The transform of that name for n values, float64 [n]. Raises as `check`."""
    check(type, options)
    return TRANSFORMS[type].function(np.asarray(values, dtype=np.float64), **options)
