"""Which of a model's numbers is the value of a molecule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sequence_tutor.rewards.molecules.models.inputs import Numbers
from sequence_tutor.rewards.names import unknown

KINDS = ("probability", "regression")
# How far a probability may be outside 0..1: that is rounding of float32, and is clipped.
ROUNDING = 1e-5


class Model(Protocol):
    """A trained model that is read from a file."""

    @property
    def width(self) -> int | None:
        """How many numbers it takes of a molecule; None where the file doesn't say."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the numbers that it takes; () where the file doesn't say."""

    @property
    def text(self) -> bool | None:
        """Whether it takes SMILES; None where the file doesn't say."""

    def value(self, given: Numbers | str) -> float:
        """The value of one molecule, from float64 [D] or its SMILES. Raises ValueError."""


@dataclass(frozen=True)
class Wanted:
    """What the configuration says about a model's answer."""

    output: str | int | None = None
    """Name or index of an output of an ONNX model; None for the one that it has."""
    column: str | int | None = None
    """Class, target or index of the column; None for the usual one."""
    kind: str | None = None
    """One of KINDS; None for what the model is."""

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in KINDS:
            raise ValueError(unknown("kind", self.kind, KINDS))


def class_place(classes: Sequence[Any], column: str | int | None) -> int:
    """The place of the class that `column` names, by its label; None means the last one. Raises
    ValueError."""
    if column is None:
        return len(classes) - 1
    labels = list(classes)
    if column not in labels:
        raise ValueError(f"column = {column!r} is none of its classes, {_listed(labels)}")
    return labels.index(column)


def target_place(count: int, column: str | int | None) -> int:
    """The place of the target that `column` names, by its index. Raises ValueError."""
    if column is None:
        if count == 1:
            return 0
        raise ValueError(f"it gives {count} numbers for a molecule: choose one with column = 0")
    if not isinstance(column, int) or not 0 <= column < count:
        raise ValueError(
            f"column = {column!r} must be an index from 0 to {count - 1}: the model gives "
            f"{count} numbers for a molecule, without names"
        )
    return column


def checked(value: float, kind: str | None) -> float:
    """The value; a probability without the rounding that takes it out of 0..1. Raises ValueError
    where it is no number, or no probability."""
    if not np.isfinite(value):
        raise ValueError(f"the model gave {value}")
    if kind != "probability":
        return value
    if not -ROUNDING <= value <= 1 + ROUNDING:
        raise ValueError(f"the model gave {value:g}, which is no probability")
    return min(1.0, max(0.0, value))


def first_words(error: BaseException) -> str:
    """An exception of a library as part of a sentence."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."


def _listed(labels: Sequence[Any]) -> str:
    shown = ", ".join(repr(label) for label in labels[:8])
    return shown if len(labels) <= 8 else f"{shown}, ... ({len(labels)})"
