"""The transforms of REINVENT4, and of PUMAS where its config asks for those, in our words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from sequence_tutor.rewards.reinvent.notes import ConversionError, number, plain

Given = Mapping[str, Any]
LN10 = math.log(10.0)


class NotThereError(ValueError):
    """A transform that has no equal here; the message says why."""


def _value(given: Given, key: str, default: float | None = None) -> float:
    if key not in given and default is None:
        raise ConversionError(f"transform {given.get('type')!r} has no {key}")
    return number(given.get(key, default), f"transform.{key}")


def _sigmoid(given: Given, sign: float = 1.0) -> dict[str, Any]:
    """Theirs is a power of 10, with k for the width high - low; a negative k, or low above high,
    falls."""
    low, high, k = _value(given, "low"), _value(given, "high"), _value(given, "k")
    if low == high or k == 0:
        raise NotThereError("low equals high, or k is 0, so it is the same for all molecules")
    rises = sign * k * (high - low) > 0
    return {
        "type": "sigmoid" if rises else "reverse_sigmoid",
        "low": min(low, high),
        "high": max(low, high),
        "steepness": 10.0 * LN10 * abs(k),
    }


def _double_sigmoid(given: Given) -> dict[str, Any]:
    low, high = _value(given, "low"), _value(given, "high")
    width = _value(given, "coef_div", 100.0)
    if not (low < high and width > 0):
        raise NotThereError("it needs low below high and a coef_div above 0 here")
    slopes = [LN10 * _value(given, f"coef_{side}", 150.0) / width for side in ("si", "se")]
    if min(slopes) <= 0:
        raise NotThereError("coef_si and coef_se must be above 0 here")
    rise, fall = (slope * (high - low) for slope in slopes)
    # always both: with one slope our two sides would meet in another way
    return {
        "type": "double_sigmoid",
        "low": low,
        "high": high,
        "steepness": rise,
        "steepness_high": fall,
    }


def _step(given: Given) -> dict[str, Any]:
    low, high = _value(given, "low"), _value(given, "high")
    if not low < high:
        raise NotThereError("low must be below high here")
    return {"type": "step", "low": low, "high": high}


def _decay(given: Given) -> dict[str, Any]:
    k = _value(given, "k")
    if not k > 0:
        raise NotThereError("k must be above 0 here")
    return {"type": "exponential_decay", "k": k}


def _mapping(given: Given) -> dict[str, Any]:
    mapping = given.get("mapping")
    if not isinstance(mapping, dict) or not mapping:
        raise ConversionError("transform 'value_mapping' has no mapping")
    try:
        numbers = {str(float(key)): float(value) for key, value in mapping.items()}
    except (TypeError, ValueError):
        raise NotThereError("its keys and values must be numbers here") from None
    if len(numbers) < len(mapping):
        raise NotThereError("two of its keys are the same number here")
    return {"type": "value_mapping", "mapping": numbers}


TRANSFORMS: dict[str, Callable[[Given], dict[str, Any]]] = {
    "sigmoid": _sigmoid,
    "reversesigmoid": lambda given: _sigmoid(given, -1.0),
    "doublesigmoid": _double_sigmoid,
    "step": _step,
    "leftstep": lambda given: {"type": "left_step", "low": _value(given, "low", 0.0)},
    "rightstep": lambda given: {"type": "right_step", "high": _value(given, "high", 0.0)},
    "exponentialdecay": _decay,
    "valuemapping": _mapping,
}


def transform_of(given: Given) -> dict[str, Any]:
    """Our table of a transform. Raises NotThereError where none is equal, ConversionError where it
    isn't whole."""
    kind = given.get("type")
    if not isinstance(kind, str):
        raise ConversionError("a transform has no type")
    found = TRANSFORMS.get(plain(kind))
    if found is None:
        raise NotThereError("there is none of that shape here")
    return found(given)
