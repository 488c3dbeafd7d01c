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
# Most variants of a candidate that are looked at.
VARIANTS = 4


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
        where the prior can't express any."""
        variants = [(i, text) for i, key in enumerate(keys) for text in self._variants(key)]
        actions = encoded(self._prior.encoding, [text for _, text in variants])
        nll_of = dict(zip(actions, self._nll(list(actions.values())).tolist(), strict=True))
        best, found = list(keys), np.full(len(keys), np.inf)
        for i, text in variants:
            if nll_of.get(text, np.inf) < found[i]:
                best[i], found[i] = text, nll_of[text]
        return best, found

    def _variants(self, key: str) -> list[str]:
        return list(dict.fromkeys([key, *self._domain.variants(key, VARIANTS)]))

    def _nll(self, actions: list[np.ndarray]) -> np.ndarray:
        """NLL of episodes, int16 [T] actions each, float64 [B]."""
        if not actions:
            return np.zeros(0)
        network, constraint = self._prior.network, self._prior.encoding.constraint
        with autocast(network.head.weight.device.type):
            return -token_log_probs(network, *pad(actions), constraint=constraint)
