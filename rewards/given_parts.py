"""Given parts of sequences: what every sequence of a run must have.

A domain turns what the user gives, such as a scaffold, into texts with gaps between them. The
policy fills the gaps (see `policies.encodings.template`), and other sequences that have the given
parts are spelled so that they begin and go on as the texts say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np


class GivenParts(ABC):
    """K + 1 texts and the ends of the K gaps between them."""

    texts: tuple[str, ...]
    """The given texts, in order; a text may be empty."""
    gaps: tuple[str, ...]
    """How each gap ends, as in `policies.encodings.template.Template`."""
    respells: ClassVar[bool] = True
    """Whether `spell` finds a spelling of every sequence that has the given parts."""

    @abstractmethod
    def spell(self, sequence: str, random: np.random.Generator | None = None) -> str | None:
        """A spelling of a valid sequence that has the given texts in their places: always the same
        one without `random`. None where the sequence doesn't have them, or nothing else may be
        bonded to where it is."""


@dataclass(frozen=True)
class Window:
    """Which sequences are near enough to a lead. Sequences outside count as invalid."""

    leads: tuple[str, ...]
    """The leads; the similarity to the nearest counts."""
    low: float
    """Least similarity, 0 to 1."""
    high: float
    """Greatest similarity, 0 to 1."""

    def reason(self, similarity: float) -> str:
        """Why a sequence of this similarity is outside; "" where it isn't."""
        if self.low <= similarity <= self.high:
            return ""
        return f"similarity {similarity:.2f} to the lead isn't in {self.low:g} to {self.high:g}"


class Start(GivenParts):
    """A text that every sequence begins with."""

    respells = False

    def __init__(self, text: str) -> None:
        if not text:
            raise ValueError("start is empty: give the text that every sequence begins with")
        self.texts, self.gaps = (text, ""), ("rest",)

    def spell(self, sequence: str, random: np.random.Generator | None = None) -> str | None:
        """The sequence itself, where it begins so."""
        return sequence if sequence.startswith(self.texts[0]) else None
