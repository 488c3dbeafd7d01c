"""Which of the best sequences are drawn and played in `best/`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sequence_tutor.distributed.types import Scored
from sequence_tutor.rewards.base import Domain

if TYPE_CHECKING:
    from sequence_tutor.policies.prior import Prior

# Two sequences that are more similar are shown once: Tanimoto similarity of their features.
TOO_SIMILAR = 0.6


def best_shown(
    top: Scored | None, prior: Prior, domain: Domain, temperature: float, n: int
) -> list[str]:
    """At most n of the best rows: by reward, or, where a domain shows what is plausible, by
    r + c log p, whose maximum is the most likely sequence of the optimal policy
    pi* ~ p exp(r/c); then those too similar to an earlier one come last."""
    if top is None or not len(top.sequences):
        return []
    if not domain.shows_plausible:
        return list(top.sequences[:n])
    c = 0.0 if np.isnan(temperature) else temperature
    worth = [
        reward + c * _log_prob(prior, sequence)
        for reward, sequence in zip(top.rewards.tolist(), top.sequences, strict=True)
    ]
    order = np.argsort(-np.array(worth), kind="stable").tolist()
    counts = domain.features(top.sequences)[0].astype(np.int64)
    chosen: list[int] = []
    for row in order:
        if all(_similarity(counts[row], counts[other]) <= TOO_SIMILAR for other in chosen):
            chosen.append(row)
    chosen += [row for row in order if row not in set(chosen)]
    return [top.sequences[row] for row in chosen[:n]]


def _log_prob(prior: Prior, sequence: str) -> float:
    try:
        return float(prior.log_prob([sequence])[0])
    except ValueError:  # of a warm start, and not as the prior writes them
        return -np.inf


def _similarity(one: np.ndarray, other: np.ndarray) -> float:
    shared = int(np.minimum(one, other).sum())
    return shared / max(int(one.sum() + other.sum()) - shared, 1)
