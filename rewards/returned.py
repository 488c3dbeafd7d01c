"""What components return, as numbers: plain ones, and what models return in their place.

Arrays, tensors and tables are told by what they can do (`shape`, `item`, `to_numpy`), since this
package doesn't import the libraries that they come from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np

from sequence_tutor.rewards.aggregate import Values

# How many containers, each the only content of the one around it, are opened to find a number.
_DEPTH = 8
# NumPy counts times as integers, and converts complex numbers with a warning only.
_NO_NUMBERS = (str, bytes, complex, np.complexfloating, np.timedelta64)
_NOT_IN_ORDER = (str, bytes, Mapping, Set)


def number_of(value: Any) -> tuple[float, str]:
    """A finite float and no complaint, or NaN and what is wrong.

    Takes numbers, Decimal and Fraction among them, and what holds exactly one: arrays, tensors (on
    a GPU or with a gradient, too), lists and tuples.
    """
    if type(value) is float and math.isfinite(value):
        return value, ""
    if isinstance(value, Exception):
        return math.nan, f"{type(value).__name__}: {value}"
    try:
        return _number_of(value)
    except MemoryError:
        raise
    except OverflowError:
        return math.nan, "returned a number too large for a float"
    except Exception as error:  # another library's class, asked for its only element
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
    """One finite float per action and no complaint, or one NaN and what is wrong. Each may be in a
    row of its own, as models return them."""
    wrong = np.full(1, np.nan)
    if isinstance(value, Exception):
        return wrong, f"{type(value).__name__}: {value}"
    if not isinstance(value, np.ndarray):
        try:
            found = [number_of(one) for one in one_for_each(value, None)]
        except MemoryError:
            raise
        except Exception:  # another library's class, gone through
            return wrong, f"returned {_kind(value)}, not one number per action"
        complaint = next((text for _, text in found if text), "")
        if complaint:
            return wrong, f"{complaint}, where there should be one number per action"
        value = np.array([number for number, _ in found], dtype=np.float64)
    if value.dtype.kind not in "biuf" or np.ma.is_masked(value):
        return wrong, f"returned {_kind(value)}, not one number per action"
    values = value.astype(np.float64)
    if values.shape not in ((actions,), (actions, 1)):
        return wrong, f"returned shape {values.shape} for {actions} actions"
    if not np.isfinite(values).all():
        return wrong, "returned a value that is not finite"
    return values.reshape(actions), ""


def one_for_each(values: Any, n: int | None) -> Sequence[Any] | np.ndarray:
    """What came back for n things, as a sequence with one value for each, which may be anything; of
    as many things as there are where n is None. The caller counts them.

    Raises TypeError where it is nothing of the kind, or isn't in the order of the things.
    """
    if isinstance(values, _NOT_IN_ORDER):
        raise TypeError(f"returned {type(values).__name__}, not a list or an array")
    if hasattr(values, "to_numpy"):  # going through a table gives the names of its columns
        values = values.to_numpy()
    shape = getattr(values, "shape", None)
    single = shape == () if shape is not None else hasattr(type(values), "__float__")
    if n == 1 and single:
        return [values]  # models squeeze a batch of one
    return values if isinstance(values, np.ndarray) and values.ndim else list(values)


def _size(value: Any) -> int | None:
    """How many things a container holds; None for what is none."""
    if isinstance(value, (list, tuple)):
        return len(value)
    if isinstance(value, np.generic):
        return None
    shape = getattr(value, "shape", None)
    return None if shape is None else math.prod(shape)


def _only(value: Any) -> Any:
    """The one thing in a container of one."""
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
    """The type of a value, and its shape or length where it has one, and what is in it."""
    name = type(value).__name__
    if isinstance(value, (list, tuple)) and len(value) != 1:
        return f"{name} of {len(value)}"
    if not isinstance(value, np.generic) and hasattr(value, "shape"):
        name = f"{name} of shape {tuple(value.shape)}"
    return name if inner is None or inner is value else f"{name} with {type(inner).__name__}"
