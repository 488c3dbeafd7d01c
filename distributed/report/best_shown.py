"""Which of the best sequences are drawn and played in `best/`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sequence_tutor.distributed.screening.tanimoto import Indicators
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
    worth = top.rewards.copy()
    if not np.isnan(temperature):  # a run that learned nothing has none
        worth += temperature * np.array([log_prob(prior, text) for text in top.sequences])
    order = np.argsort(-worth, kind="stable").tolist()
    counts = domain.features(top.sequences)[0]
    similarity = Indicators(counts).kernel(counts)
    chosen: list[int] = []
    others: list[int] = []
    for row in order:
        near = (similarity[row, chosen] > TOO_SIMILAR).any()
        (others if near else chosen).append(row)
    return [top.sequences[row] for row in (chosen + others)[:n]]


def log_prob(prior: Prior, sequence: str) -> float:
    """Its log-probability under the prior, in nats; -inf where the prior can't write it."""
    try:
        return float(prior.log_prob([sequence])[0])
    except ValueError:  # of a warm start, and not as the prior writes them
        return -np.inf
