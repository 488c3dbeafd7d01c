"""Given parts of a sequence, and the gaps between them that the policy fills.

    c1cc(  gap )  ccc1C(=O)N  gap <end>        a scaffold with two attachment points
    c1ccccc1  gap <end>  C(=O)NC  <end>        two fragments and the linker between them
    C4---D4---  gap                            a melody that goes on
    C4---____X-X-^---                          a melody of which each step is given, or is a gap

An episode holds the given parts as actions too, at which the policy has no choice. The action that
ends a gap is the prior's own: the closing parenthesis of the branch, or the end token, which means
"a molecule could end here" and is followed by the next given part, if there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self, get_args

import numpy as np

from sequence_tutor.policies.encodings.base import Encoding, with_header
from sequence_tutor.policies.encodings.constraint import Constraint, Free, Given, Part
from sequence_tutor.policies.encodings.smiles_gap import SmilesGap, read_token

Ending = Literal["branch", "link", "end", "rest", "steps"]


@dataclass(frozen=True)
class Template:
    """K gaps and the K + 1 given texts around them. Raises ValueError where they don't fit."""

    texts: tuple[str, ...]
    """The given texts, in order; a text may be empty."""
    gaps: tuple[Ending, ...]
    """How each gap ends: "branch" with the parenthesis that closes the branch before it, "link"
    with the end token and the text after it, "end" with the end token, as the sequence does;
    "rest" is any continuation. "steps" is the only gap: the text before it says what may stand at
    each step of the whole sequence, see `melody_steps`."""

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.gaps) + 1 or not self.gaps:
            raise ValueError("a template needs gaps, and a text before and after each")
        for gap in self.gaps:
            if gap not in get_args(Ending):
                raise ValueError(f"unknown end of a gap: {gap!r}")
        if any(gap in ("end", "rest") for gap in self.gaps[:-1]):
            raise ValueError("only the last gap can go on to the end")
        if "link" in self.gaps[:-1]:
            raise ValueError("only the last gap can be a link")
        if "steps" in self.gaps and len(self.gaps) > 1:
            raise ValueError("steps say all of a sequence, so there is no other gap")

    def metadata(self) -> dict[str, list[str]]:
        """The template as JSON values."""
        return {"texts": list(self.texts), "gaps": list(self.gaps)}

    @classmethod
    def from_metadata(cls, values: dict[str, Any]) -> Template:
        """The inverse of `metadata`. Raises ValueError or KeyError."""
        return cls(tuple(values["texts"]), tuple(values["gaps"]))


class TemplateEncoding(Encoding):
    """The sequences of another encoding that have the given parts of a template.

    Tokens and vocabulary are those of `inner`, whose sequences end with an end token if the gaps
    do. Raises ValueError for a given part with tokens that the vocabulary lacks, one that leaves
    no room for the gaps, and steps that no sequence can have.
    """

    def __init__(self, inner: Encoding, template: Template) -> None:
        self.inner, self.template = inner, template
        super().__init__(inner.vocabulary, inner.max_length)
        self.name, self.own_files = inner.name, inner.own_files
        self.usual_length, self.header = inner.usual_length, inner.header
        self._by_step = template.gaps == ("steps",)
        self._given = [] if self._by_step else [self._tokens(text) for text in template.texts]
        _ = self.constraint  # built now, so that a mistake is found at the start

    @classmethod
    def fit(cls, corpus: Iterable[str], max_length: int | None = None) -> Self:
        raise NotImplementedError("a template has the vocabulary of its prior")

    @property
    def max_length(self) -> int:
        """That of `inner`."""
        return self.inner.max_length

    @max_length.setter
    def max_length(self, value: int) -> None:
        self.inner.max_length = value
        self.__dict__.pop("constraint", None)

    @property
    def options(self) -> dict[str, Any]:
        """Those of `inner`."""
        return self.inner.options

    def read_parts(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Those of `inner`."""
        return self.inner.read_parts(given)

    @cached_property
    def constraint(self) -> Constraint:
        """What the policy may do at each step. Raises ValueError where `max_length` doesn't fit."""
        parts = self._by_steps() if self._by_step else self._parts()
        return Constraint(parts, self.vocabulary, self.max_length)

    def encode(self, sequence: str) -> np.ndarray:
        """Return int16 [T] actions. Raises ValueError for a text that isn't the template's, even if
        another spelling of the same thing is."""
        ids = [int(i) for i in self.inner.encode(sequence)]
        end = self.vocabulary.end_id
        if self.template.gaps[-1] == "link":
            at = len(ids) - 1 - len(self._given[-1])
            ids = [*ids[:at], int(end or 0), *ids[at:]]
        actions = np.array(ids, dtype=np.int16)
        if not self.constraint.allows(actions):
            raise ValueError(f"{sequence!r} doesn't have the given parts, as they are spelled")
        return actions

    def decode(self, tokens: np.ndarray) -> str:
        """Return the text of the actions; end tokens stand for no text."""
        if self.vocabulary.end_id is None:
            return self.inner.decode(tokens)
        return self.inner.decode(tokens[tokens != self.vocabulary.end_id])

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the constraint, which is built again where it is needed."""
        return {k: v for k, v in self.__dict__.items() if k != "constraint"}

    def _tokens(self, text: str) -> list[int]:
        if not text:
            return []
        ids = [int(i) for i in self.inner.encode(with_header(self.inner, text))]
        return ids[:-1] if self.vocabulary.end_id is not None else ids

    def _by_steps(self) -> list[Part]:
        """One gap as long as an episode, with rules for each of its steps."""
        rules = self.inner.step_rules(self.template.texts[0])
        steps, longest = rules.needed(rules.start), self.max_length
        if steps != longest:
            raise ValueError(
                f"the given melody has {steps} steps, and max_length is {longest}: give {longest} "
                f"steps, or set max_length to {steps}"
            )
        return [Free(rules, None, last=True)]

    def _parts(self) -> list[Part]:
        """The parts that an episode goes through; each gap but "rest" is followed by its end."""
        parts: list[Part] = []
        vocabulary, open_rings = self.vocabulary, set[int]()
        for given, gap in zip(self._given, (*self.template.gaps, None), strict=True):
            for token in map(read_token, vocabulary.decode(given)):
                if token.kind == "ring":
                    open_rings ^= {token.number}
            parts.append(Given(tuple(given)))
            if gap is None:
                continue
            if gap == "rest":
                parts.append(Free(None, vocabulary.end_id, last=True))
                return parts
            rules = SmilesGap(vocabulary.tokens, frozenset(open_rings), gap == "link")
            ends_with = vocabulary.end_id if gap != "branch" else vocabulary.encode([")"], ")")[0]
            parts.append(Free(rules, ends_with, last=gap == "end"))
            if gap == "end":
                return parts
        assert vocabulary.end_id is not None
        parts.append(Given((vocabulary.end_id,)))
        return parts
