"""Leaves out candidates that the prior's data would hardly contain.

A candidate's plausibility is its log-probability under the prior. Where a candidate leaves
something open that the data states, such as stereochemistry, its most likely variant takes its
place: the prior has hardly seen sequences that leave it open.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sequence_tutor.distributed.generating.proposals import encoded
from sequence_tutor.policies.encodings.base import pad
from sequence_tutor.policies.kernels.device import autocast
from sequence_tutor.policies.prior import Prior, token_log_probs
from sequence_tutor.rewards.base import Domain

# Samples of the prior by which its usual NLL is known.
SAMPLES = 1000
# Most variants of a candidate that are looked at, and nats above the limit within which they are:
# without stereochemistry 98 of 100 molecules of ZINC250k lose less (6 nats in the median).
VARIANTS, WITHIN = 4, 40.0


class Plausibility:
    """Judges candidates. share: of the prior's own valid samples, the part that is judged
    plausible; seed: of these samples."""

    def __init__(self, prior: Prior, domain: Domain, share: float, seed: int) -> None:
        self._prior, self._domain = prior, domain
        samples = prior.sample(SAMPLES, seed)
        with domain.quiet():
            keys = [key for sample in samples if (key := domain.key(sample)) is not None]
        nll = self._nll(list(encoded(prior.encoding, keys).values()))
        self.limit = float(np.quantile(nll, share)) if len(nll) else np.inf

    def judge(self, keys: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """The most likely variant of each of B candidates, and its NLL in nats, float64 [B]; inf
        where the prior can't express any. Of a candidate that is far too unlikely no variant is
        looked at."""
        best, found = list(keys), self._nll_of(keys)
        near = np.flatnonzero(found <= self.limit + WITHIN)
        variants = [
            (i, text)
            for i in near.tolist()
            for text in self._domain.variants(keys[i], VARIANTS)
            if text != keys[i]
        ]
        for (i, text), nll in zip(
            variants, self._nll_of([text for _, text in variants]).tolist(), strict=True
        ):
            if nll < found[i]:
                best[i], found[i] = text, nll
        return best, found

    def _nll_of(self, texts: Sequence[str]) -> np.ndarray:
        """NLL of B texts in nats, float64 [B], inf for those that the prior can't express."""
        actions = encoded(self._prior.encoding, texts)
        known = dict(zip(actions, self._nll(list(actions.values())).tolist(), strict=True))
        return np.array([known.get(text, np.inf) for text in texts])

    def _nll(self, actions: list[np.ndarray]) -> np.ndarray:
        """NLL of episodes, int16 [T] actions each, float64 [B]."""
        if not actions:
            return np.zeros(0)
        network, constraint = self._prior.network, self._prior.encoding.constraint
        with autocast(network.head.weight.device.type):
            return -token_log_probs(network, *pad(actions), constraint=constraint)
