"""Turns what a proposer proposes into episodes: new sequences that the policy could have written.

Sequences that are on record already, that are invalid, or that the encoding can't express are left
out: the reward would not be asked about the first two, and the learner can't use the others.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from zlib import crc32

import numpy as np

from sequence_tutor.distributed.generating.proposers import Proposer
from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.types import ActorReport, Generated
from sequence_tutor.policies.encodings.base import Encoding, Episodes, pad
from sequence_tutor.rewards.base import Domain


class Proposals:
    """One process' part of a proposer.

    name: of the proposer; seed: the run's; worker: number of the process, from 1.
    """

    def __init__(
        self,
        name: str,
        proposer: Proposer,
        domain: Domain,
        encoding: Encoding,
        replay: ReplayClient,
        seed: int,
        worker: int,
    ) -> None:
        self.name = name
        self._proposer, self._domain, self._encoding = proposer, domain, encoding
        self._replay, self._seeds, self._worker = replay, [seed, crc32(name.encode())], worker

    def make(
        self, n: int, entropy: Sequence[int], process_id: str
    ) -> tuple[ActorReport, Generated | None]:
        """A batch of up to n episodes; None where there is nothing to propose. entropy: numbers
        that seed it, with the run's seed and the worker's number; process_id: id of the process
        since its last start."""
        started = time.perf_counter()
        random = np.random.default_rng([*self._seeds, self._worker, *entropy])
        view = self._replay.view(*self._proposer.wants)
        texts = list(self._proposer.propose(n, view, random))
        new = self._new(texts)
        tokens = encoded(self._encoding, new.values())
        # a canonical form may do without the tokens that the prior lacks
        tokens |= encoded(self._encoding, [key for key, text in new.items() if text not in tokens])
        seconds = time.perf_counter() - started
        batch = None
        if tokens:
            batch = Generated.by_one(
                episodes_of(tokens.values()), -1, process_id, self.name, seconds
            )
        report = ActorReport(
            worker=self._worker,
            # a proposer that has nothing left counts too, or `stop.sequences` never comes
            rows=max(1, len(texts)),
            version=-1,
            seconds=seconds,
            kl_to_prior=float("nan"),
            source=self.name,
        )
        return report, batch

    def _new(self, texts: Iterable[str]) -> dict[str, str]:
        """By key: the first text of each key that isn't on record."""
        by_key: dict[str, str] = {}
        with self._domain.quiet():
            for text in texts:
                key = text if self._proposer.canonical else self._domain.key(text)
                if key is not None:
                    by_key.setdefault(key, text)
        known = self._replay.known(list(by_key))
        old = dict(zip(by_key, known.tolist(), strict=True))
        return {key: text for key, text in by_key.items() if not old[key]}


def encoded(encoding: Encoding, texts: Iterable[str]) -> dict[str, np.ndarray]:
    """int16 [T] actions by text, of those texts that the encoding can express."""
    found: dict[str, np.ndarray] = {}
    # without an end token all episodes have the same length
    least = 1 if encoding.vocabulary.end_id is not None else encoding.max_length
    for text in texts:
        try:
            tokens = encoding.encode(text)
        except ValueError:  # a token that the vocabulary lacks
            continue
        if least <= len(tokens) <= encoding.max_length:
            found[text] = tokens
    return found


def episodes_of(actions: Iterable[np.ndarray]) -> Episodes:
    """Episodes that no policy drew: int16 [T] actions each, without log-probabilities (NaN)."""
    tokens, lengths = pad(list(actions))
    return Episodes(tokens, lengths, np.full(len(lengths), np.nan, np.float32))
