"""One component of a compiled reward, and the order in which components are called."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sequence_tutor.rewards.aggregate import Values
from sequence_tutor.rewards.config import TransformConfig

Judge = Callable[[Any, list[str]], Sequence[Any] | np.ndarray]


@dataclass(frozen=True)
class Part:
    """One compiled component."""

    key: str
    """Name of the component in results."""
    weight: float
    """Weight in the aggregate, at least 0."""
    judge: Judge
    """Parsed and plain sequences [B] -> B values or exceptions; with `steps` one number per action
    each, and without `texts` gathered sequences in place of parsed ones."""
    transform: TransformConfig | None
    """Applied to the raw values before the aggregate; None for none."""
    steps: bool = False
    """Whether it judges by the action."""
    texts: bool = False
    """Whether it judges sequences as they are written."""
    at_once: bool = False
    """Whether its function is a user's and takes a whole batch."""
    ours: bool = False
    """Whether its function is part of this package."""
    role: str = "score"
    """"score", "filter" or "penalty"; the last two multiply the aggregate."""
    cost: float = math.inf
    """Measured microseconds for a sequence; inf where it isn't known, as for a user's function."""
    prepare: Callable[[], object] | None = None
    """Loads what takes long, before the first sequence; None where that isn't needed."""

    @property
    def multiplies(self) -> bool:
        return self.role != "score"

    def transformed(self, raw: Values) -> Values:
        return raw if self.transform is None else self.transform(raw)


def call_rank(role: str, cost: float) -> tuple[int, float]:
    """By which components are sorted before they are called: filters first, then penalties; of
    each the cheap ones, and those of unknown cost last."""
    return ("filter", "penalty", "score").index(role), cost
