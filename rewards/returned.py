"""Conversion of the values that components return to floats, with a complaint where that fails.

Models return arrays, tensors and tables. They are recognised by their attributes (`shape`, `item`,
`to_numpy`), since this package doesn't import their libraries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np

from sequence_tutor.rewards.aggregate import Values

# Most containers, each with one element, that are opened to find a number.
_DEPTH = 8
# Types that float() or NumPy would convert although they aren't real numbers.
_NO_NUMBERS = (str, bytes, complex, np.complexfloating, np.timedelta64)
_NOT_IN_ORDER = (str, bytes, Mapping, Set)


class Complaint(Exception):
    """The failure of a sequence as a text that says all, without the name of an exception."""


def number_of(value: Any) -> tuple[float, str]:
    """Return a finite float and "", or NaN and a complaint.

    Accepts numbers, also Decimal and Fraction, and containers of exactly one: arrays, tensors (also
    on a GPU or with a gradient), lists and tuples.
    """
    if type(value) is float and math.isfinite(value):
        return value, ""
    if isinstance(value, Complaint):
        return math.nan, str(value)
    if isinstance(value, Exception):
        return math.nan, f"{type(value).__name__}: {value}"
    try:
        return _number_of(value)
    except MemoryError:
        raise
    except OverflowError:
        return math.nan, "returned a number too large for a float"
    except Exception as error:  # from another library's class
        return math.nan, f"returned {_kind(value)}: {type(error).__name__}: {error}"


def _number_of(value: Any) -> tuple[float, str]:
    inner = value
    for _ in range(_DEPTH):
        if (size := _size(inner)) is None:
            break
        if size != 1:
            return math.nan, f"returned {_kind(value)}, not one number"
        inner = _only(inner)
    if isinstance(inner, _NO_NUMBERS) or not hasattr(type(inner), "__float__"):
        return math.nan, f"returned {_kind(value, inner)}, not a number"
    number = float(inner)
    return (number, "") if math.isfinite(number) else (math.nan, f"returned {number}")


def numbers_per_action(value: Any, actions: int) -> tuple[Values, str]:
    """Return one finite float per action [T] and "", or one NaN and a complaint. Shape [T,1] is
    accepted too, as models return it."""
    wrong = np.full(1, np.nan)
    if isinstance(value, Exception):
        return wrong, f"{type(value).__name__}: {value}"
    if not isinstance(value, np.ndarray):
        try:
            found = [number_of(one) for one in one_for_each(value, None)]
        except MemoryError:
            raise
        except Exception:  # from another library's class
            return wrong, f"returned {_kind(value)}, not one number per action"
        complaint = next((text for _, text in found if text), "")
        if complaint:
            return wrong, f"{complaint}, where there should be one number per action"
        value = np.array([number for number, _ in found], dtype=np.float64)
    if value.dtype.kind not in "biuf" or np.ma.is_masked(value):
        return wrong, f"returned {_kind(value)}, not one number per action"
    values = value.astype(np.float64)
    if values.shape not in ((actions,), (actions, 1)):
        what = f"{len(values)} numbers" if values.ndim == 1 else f"shape {values.shape}"
        return wrong, f"returned {what} for {actions} actions"
    if not np.isfinite(values).all():
        return wrong, "returned a value that is not finite"
    return values.reshape(actions), ""


def one_for_each(values: Any, n: int | None) -> Sequence[Any] | np.ndarray:
    """Values that were returned for n sequences, or an unknown number (None), as a list or array.
    Values may be of any type; the caller checks their number.

    Raises TypeError where it can't be iterated, or has no order.
    """
    if isinstance(values, _NOT_IN_ORDER):
        raise TypeError(f"returned {type(values).__name__}, not a list or an array")
    if hasattr(values, "to_numpy"):  # iterating a table would give its column names
        values = values.to_numpy()
    shape = getattr(values, "shape", None)
    single = shape == () if shape is not None else hasattr(type(values), "__float__")
    if n == 1 and single:
        return [values]  # models squeeze a batch of one
    return values if isinstance(values, np.ndarray) and values.ndim else list(values)


def _size(value: Any) -> int | None:
    """Number of elements of a container; None for a value that isn't one."""
    if isinstance(value, (list, tuple)):
        return len(value)
    if isinstance(value, np.generic):
        return None
    shape = getattr(value, "shape", None)
    return None if shape is None else math.prod(shape)


def _only(value: Any) -> Any:
    """The element of a container of one."""
    if isinstance(value, (list, tuple)):
        return value[0]
    if np.ma.is_masked(value):
        raise ValueError("its value is masked")
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    if not hasattr(value, "item"):
        value = np.asarray(value)
    return value.item()


def _kind(value: Any, inner: Any = None) -> str:
    """Describe a value: its type, its shape or length if it has one, and the type of `inner`."""
    name = type(value).__name__
    if isinstance(value, (list, tuple)) and len(value) != 1:
        return f"{name} of {len(value)}"
    if not isinstance(value, np.generic) and hasattr(value, "shape"):
        name = f"{name} of shape {tuple(value.shape)}"
    return name if inner is None or inner is value else f"{name} with {type(inner).__name__}"
