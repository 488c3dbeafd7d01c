"""The given parts of a run's sequences, and the starts near a lead; see `[generate]`.

A run's encoding is made here: that of the prior, or one that spells every sequence as the given
parts ask for it. All processes use the same, so rows of any origin can be learned from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.search_config import check_one
from sequence_tutor.policies.encodings.base import Encoding, Episodes, Starts
from sequence_tutor.policies.encodings.registry import encoding_from_metadata, encodings
from sequence_tutor.policies.encodings.template import Template, TemplateEncoding
from sequence_tutor.policies.encodings.vocabulary import UnknownTokenError
from sequence_tutor.policies.find_prior import metadata_of
from sequence_tutor.rewards.base import Domain
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.given_parts import GivenParts, Spelling

if TYPE_CHECKING:
    from sequence_tutor.policies.prior import Prior

# Nats between the most likely spelling of given parts and one that is as good.
ABOUT_AS_LIKELY = 1.0
# The part of a lead's text that is given, at least and at most. Much of it, as a molecule with half
# of a lead's atoms is seldom similar to it.
LEAST_GIVEN, MOST_GIVEN = 0.6, 0.95
# Share of the policy's episodes that begin like a lead; the others tell the KL.
LIKE_A_LEAD = 0.9
# Episodes that are generated for each that is wanted; those near a lead are taken first.
TRIES = 3


class SpellingEncoding(TemplateEncoding):
    """Spells every sequence that has the given parts as the template asks for it."""

    def __init__(self, inner: Encoding, parts: GivenParts) -> None:
        super().__init__(inner, Template(*parts.spelling))  # type: ignore[arg-type]
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


def run_encoding(run: RunConfig, prior: Prior) -> Encoding:
    """The encoding of a run with this prior. Raises ValueError where the given parts don't fit the
    prior."""
    given = {} if run.generate is None else run.generate.parts
    try:
        return _encoding(prior, given, run.domain)
    except ValueError as error:
        raise ValueError(f"[generate] with prior {run.prior}: {error}") from error


def sampling_encoding(prior: Prior, given: dict[str, Any]) -> Encoding:
    """The encoding of samples that have given parts, by their key of [generate]; without any it is
    what the prior has. Raises ValueError."""
    if not given:
        return prior.encoding
    check_one(given)
    return _encoding(prior, given, domain_of(prior.encoding.name))


def _encoding(prior: Prior, given: dict[str, Any], domain: Domain) -> Encoding:
    encoding = prior.encoding
    parts = domain.given_parts(**encoding.read_parts(given)) if given else None
    if parts is not None and not encoding.joins_texts:
        raise ValueError(
            f"encoding {encoding.name!r} can't have given parts, as what a token means depends on "
            "those before it; use a prior of another encoding"
        )
    if not isinstance(encoding, TemplateEncoding):
        return encoding if parts is None else _best_spelled(prior, parts)
    if parts is None:
        raise ValueError("this policy was tuned with given parts: give the same here")
    template = encoding.template
    return SpellingEncoding(
        encoding.inner, parts.spelled_as(Spelling(template.texts, template.gaps))
    )


def _best_spelled(prior: Prior, parts: GivenParts) -> Encoding:
    """The parts as the prior would most likely write them: it knows what to write in the gaps of
    what it has seen. Of spellings that are about as likely the first is taken."""
    texts, spellings = [], []
    lacking = ""
    for spelling in parts.spellings:
        text = parts.example(spelling)
        try:
            prior.encoding.encode(text)
        except UnknownTokenError as error:
            lacking = error.token
            continue
        texts.append(text)
        spellings.append(spelling)
    if not spellings:
        raise ValueError(
            f"the prior lacks the token {lacking!r} of a given part; give a part without it, or "
            "train a prior on data that has it"
        )
    likely = prior.log_prob(texts)
    best = int(np.flatnonzero(likely > likely.max() - ABOUT_AS_LIKELY)[0])
    return SpellingEncoding(prior.encoding, parts.spelled_as(spellings[best]))


def with_texts(run: RunConfig) -> RunConfig:
    """The run with given parts as texts, where they are given as files: its config goes to other
    machines. Raises ValueError that begins with the key."""
    given = {} if run.generate is None else run.generate.parts
    if not given or not encodings()[run.encoding].option_names:
        return run
    read = encoding_from_metadata(metadata_of(run.prior)).read_parts(given)
    assert run.generate is not None
    generate = run.generate.model_copy(update=dict.fromkeys(given) | read)
    return run.model_copy(update={"generate": generate})


class LeadStarts:
    """Beginnings of random spellings of leads, cut at random, which the policy completes. What may
    follow is what the grammar of the texts allows: a prior has hardly seen such beginnings.

    domain: with the window around the leads.
    """

    def __init__(self, leads: tuple[str, ...], domain: Domain, encoding: Encoding) -> None:
        self._leads, self._domain, self._encoding = leads, domain, encoding
        self._grammar = encoding.grammar

    def nearest(self, episodes: Episodes, n: int) -> Episodes:
        """Of B episodes n: those in the window first, each molecule once."""
        texts = [
            self._encoding.decode(tokens[:length])
            for tokens, length in zip(episodes.tokens, episodes.lengths, strict=True)
        ]
        with self._domain.quiet():
            keys = [self._domain.key(text) for text in texts]
        first = {key: i for i, key in reversed(list(enumerate(keys))) if key is not None}
        near = sorted(first.values())
        rows = np.array([*near, *np.setdiff1d(np.arange(len(keys)), near)][:n], np.int64)
        return Episodes(episodes.tokens[rows], episodes.lengths[rows], episodes.log_probs[rows])

    def draw(self, n: int, random: np.random.Generator) -> Starts:
        """Those of n episodes; some begin freely."""
        starts = [
            self._start(random) if random.random() < LIKE_A_LEAD else np.zeros(0, np.int16)
            for _ in range(n)
        ]
        return Starts(starts, self._grammar)

    def _start(self, random: np.random.Generator) -> np.ndarray:
        lead = self._leads[int(random.integers(len(self._leads)))]
        share = random.uniform(LEAST_GIVEN, MOST_GIVEN)
        text = self._domain.within(None).rewrite(lead, random) or lead
        try:
            actions = self._encoding.encode(text)
        except ValueError:  # a token that the vocabulary lacks
            return np.zeros(0, np.int16)
        if self._encoding.vocabulary.end_id is not None:
            actions = actions[:-1]
        given = actions[: int(share * len(actions))]
        if self._grammar is not None and not self._grammar.begins(given):
            return given[:0]
        return given if len(given) < self._encoding.max_length else given[:0]


def lead_starts(run: RunConfig, encoding: Encoding) -> LeadStarts | None:
    """The starts of a run's episodes near its leads; None where there are none, or given parts."""
    near = None if run.generate is None else run.generate.near
    if near is None or isinstance(encoding, TemplateEncoding):
        return None
    return LeadStarts(near.leads, run.domain, encoding)
