"""Leaves out candidates that the prior's data would hardly contain.

A candidate's plausibility is its log-probability under the prior. Where a candidate leaves
something open that the data states, such as stereochemistry, its most likely variant takes its
place: the prior has hardly seen sequences that leave it open.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sequence_tutor.distributed.generating.proposals import encoded
from sequence_tutor.policies.bounded_nll import bounded_nll
from sequence_tutor.policies.encodings.base import pad
from sequence_tutor.policies.kernels.device import autocast
from sequence_tutor.policies.prior import Prior
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
        self._rows: dict[str, float] = {}  # nats, of rows on record
        samples = prior.sample(SAMPLES, seed)
        with domain.quiet():
            keys = [key for sample in samples if (key := domain.key(sample)) is not None]
        actions = list(encoded(prior.encoding, keys).values())
        nll = self._nll(actions, np.full(len(actions), np.inf))
        self.limit = float(np.quantile(nll, share)) if len(nll) else np.inf

    def judge(self, keys: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """The most likely variant of each of B candidates, and its NLL in nats, float64 [B].

        A candidate without a variant within the limit stands for itself. NLL is inf where it is
        more than WITHIN above the limit, or where the prior can't express the candidate."""
        best = list(keys)
        found = self._nll_of(keys, np.full(len(keys), self.limit + WITHIN))
        variants = [
            (i, text)
            for i in np.flatnonzero(np.isfinite(found)).tolist()
            for text in self._domain.variants(keys[i], VARIANTS)
            if text != keys[i]
        ]
        bounds = np.minimum(found[[i for i, _ in variants]], self.limit)
        nll = self._nll_of([text for _, text in variants], bounds)
        for (i, text), one in zip(variants, nll.tolist(), strict=True):
            if one < found[i]:
                best[i], found[i] = text, one
        return best, found

    def of_rows(self, keys: Sequence[str]) -> dict[str, float]:
        """NLL in nats of rows on record, WITHIN above the limit at most; remembered until a call
        without them."""
        new = [key for key in keys if key not in self._rows]
        nll = np.minimum(self.judge(new)[1], self.limit + WITHIN).tolist() if new else []
        judged = self._rows | dict(zip(new, nll, strict=True))
        self._rows = {key: judged[key] for key in keys}
        return self._rows

    def _nll_of(self, texts: Sequence[str], most: np.ndarray) -> np.ndarray:
        """NLL of B texts in nats, float64 [B], inf for those above `most`, float64 [B], and for
        those that the prior can't express."""
        actions = encoded(self._prior.encoding, texts)
        bounds: dict[str, float] = {}
        for text, bound in zip(texts, most.tolist(), strict=True):
            bounds[text] = max(bound, bounds.get(text, bound))
        within = np.array([bounds[text] for text in actions])
        known = dict(zip(actions, self._nll(list(actions.values()), within).tolist(), strict=True))
        return np.array([known.get(text, np.inf) for text in texts])

    def _nll(self, actions: list[np.ndarray], most: np.ndarray) -> np.ndarray:
        """NLL of episodes, int16 [T] actions each, float64 [B]; inf for those above `most`."""
        if not actions:
            return np.zeros(0)
        network, constraint = self._prior.network, self._prior.encoding.constraint
        with autocast("cpu"):
            return bounded_nll(network, *pad(actions), most, constraint)
