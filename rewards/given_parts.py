"""Given parts of sequences: what every sequence of a run must have.

A domain turns what the user gives, such as a scaffold, into texts with gaps between them. The
policy fills the gaps (see `policies.encodings.template`), and other sequences that have the given
parts are spelled so that they begin and go on as the texts say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

import numpy as np


class Spelling(NamedTuple):
    """K + 1 given texts and the ends of the K gaps between them."""

    texts: tuple[str, ...]
    """The given texts, in order; a text may be empty."""
    gaps: tuple[str, ...]
    """How each gap ends, as in `policies.encodings.template.Template`."""


class GivenParts(ABC):
    """What is given, in one of its spellings.

    spellings: all of them; the one that a prior is used to is the best. filling: a short text for
    a gap, so that spellings can be compared.
    """

    filling: ClassVar[str]

    def __init__(self, spellings: Sequence[Spelling]) -> None:
        self.spellings, self.spelling = list(spellings), spellings[0]

    def spelled_as(self, spelling: Spelling) -> Self:
        """The same parts in another of their spellings. Raises ValueError for none of them."""
        if spelling not in self.spellings:
            raise ValueError("the given parts are others")
        found = copy(self)
        found.spelling = spelling
        return found

    def example(self, spelling: Spelling) -> str:
        """A text with these given texts and little between them."""
        text = spelling.texts[0]
        for gap, following in zip(spelling.gaps, spelling.texts[1:], strict=True):
            text += self.filling + (")" if gap == "branch" else "") + following
        return text

    @abstractmethod
    def spell(self, sequence: str, random: np.random.Generator | None = None) -> str | None:
        """A spelling of a valid sequence that has the given texts in their places: always the same
        one without `random`. None where the sequence doesn't have them, or has something bonded
        elsewhere to them."""


class Start(GivenParts):
    """A text that every sequence begins with."""

    filling = ""

    def __init__(self, text: str) -> None:
        if not text:
            raise ValueError("start is empty: give the text that every sequence begins with")
        super().__init__([Spelling((text, ""), ("rest",))])

    def spell(self, sequence: str, random: np.random.Generator | None = None) -> str | None:
        """The sequence itself, where it begins so."""
        return sequence if sequence.startswith(self.spelling.texts[0]) else None


class Change(NamedTuple):
    """A sequence beside the nearest lead."""

    lead: str
    """The lead."""
    similarity: float
    """Similarity to it, 0 to 1."""
    change: str
    """What was changed, such as "[*:1]F>>[*:1]Cl"; "" where they differ in several places."""


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
