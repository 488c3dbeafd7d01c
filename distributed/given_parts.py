"""The given parts of a run's sequences, and the starts near a lead; see `[generate]`.

A run's encoding is made here: that of the prior, or one that spells every sequence as the given
parts ask for it. All processes use the same, so rows of any origin can be learned from.
"""

from __future__ import annotations

import numpy as np

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.policies.encodings.base import Encoding
from sequence_tutor.policies.encodings.template import Template, TemplateEncoding
from sequence_tutor.policies.encodings.vocabulary import UnknownTokenError
from sequence_tutor.rewards.base import Domain
from sequence_tutor.rewards.given_parts import GivenParts

# The part of a lead's text that is given, at least and at most; with all of it the lead itself may
# come out.
LEAST_GIVEN, MOST_GIVEN = 0.4, 1.0
# Share of the policy's episodes that begin like a lead.
LIKE_A_LEAD = 0.5


class SpellingEncoding(TemplateEncoding):
    """Spells every sequence that has the given parts as the template asks for it."""

    def __init__(self, inner: Encoding, parts: GivenParts) -> None:
        super().__init__(inner, Template(tuple(parts.texts), parts.gaps))  # type: ignore[arg-type]
        self.parts = parts

    def encode(self, sequence: str) -> np.ndarray:
        """Return int16 [T] actions. Raises ValueError for a sequence without the given parts."""
        try:
            return super().encode(sequence)
        except ValueError:
            text = self.parts.spell(sequence)
            if text is None:
                raise
        return super().encode(text)


def run_encoding(run: RunConfig, encoding: Encoding) -> Encoding:
    """The encoding of a run whose prior has this one. Raises ValueError where the given parts don't
    fit the prior."""
    parts = given_parts(run)
    if isinstance(encoding, TemplateEncoding):
        own = None if parts is None else Template(tuple(parts.texts), parts.gaps)  # type: ignore[arg-type]
        if own != encoding.template:
            raise ValueError(
                f"prior {run.prior} was tuned with given parts: give the same [generate] here"
            )
        encoding = encoding.inner
    if parts is None:
        return encoding
    try:
        return SpellingEncoding(encoding, parts)
    except UnknownTokenError as error:
        raise ValueError(
            f"[generate]: prior {run.prior} lacks the token {error.token!r} of a given part; give "
            "a part without it, or train a prior on data that has it"
        ) from error
    except ValueError as error:
        raise ValueError(f"[generate]: {error}") from error


def given_parts(run: RunConfig) -> GivenParts | None:
    """What every sequence of a run must have; None where that is nothing. Raises ValueError."""
    given = run.generate
    if given is None or not given.parts:
        return None
    try:
        return run.domain.given_parts(**given.parts)
    except ValueError as error:
        raise ValueError(f"[generate]: {error}") from error


class LeadStarts:
    """Beginnings of random spellings of leads, cut at random, which the policy completes."""

    def __init__(self, leads: tuple[str, ...], domain: Domain, encoding: Encoding) -> None:
        self._leads, self._domain, self._encoding = leads, domain, encoding

    def draw(self, n: int, random: np.random.Generator) -> list[np.ndarray]:
        """int16 [T] actions for each of n episodes; none for those that begin freely."""
        return [
            self._start(random) if random.random() < LIKE_A_LEAD else np.zeros(0, np.int16)
            for _ in range(n)
        ]

    def _start(self, random: np.random.Generator) -> np.ndarray:
        lead = self._leads[int(random.integers(len(self._leads)))]
        share = random.uniform(LEAST_GIVEN, MOST_GIVEN)
        text = self._domain.rewrite(lead, random) or lead
        try:
            actions = self._encoding.encode(text)
        except ValueError:  # a token that the vocabulary lacks
            return np.zeros(0, np.int16)
        if self._encoding.vocabulary.end_id is not None:
            actions = actions[:-1]
        given = actions[: int(share * len(actions))]
        return given if len(given) < self._encoding.max_length else given[:0]


def lead_starts(run: RunConfig, encoding: Encoding) -> LeadStarts | None:
    """The starts of a run's episodes near its leads; None where there are none, or given parts."""
    near = None if run.generate is None else run.generate.near
    if near is None or isinstance(encoding, TemplateEncoding):
        return None
    return LeadStarts(near.leads, run.domain.within(None), encoding)
