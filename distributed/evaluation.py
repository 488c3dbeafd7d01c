"""Describing a prior or policy by a sample of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from sequence_tutor.policies.encoding import action_texts, pad
from sequence_tutor.rewards.base import Domain, Reward

if TYPE_CHECKING:
    from sequence_tutor.policies.prior import Prior


def describe(
    prior: Prior,
    domain: Domain,
    reward: Reward | None = None,
    n: int = 1000,
    seed: int = 0,
    training: Collection[str] | None = None,
) -> dict[str, float]:
    """Sample `n` sequences and measure them.

    The domain's metrics, and with a reward its mean over the sequences that have one.
    """
    return describe_sequences(prior.sample(n, seed), domain, prior, reward, training)


def describe_sequences(
    sequences: list[str],
    domain: Domain,
    prior: Prior | None = None,
    reward: Reward | None = None,
    training: Collection[str] | None = None,
) -> dict[str, float]:
    """The domain's metrics of given sequences; the mean reward where a reward and the encoding
    (from `prior`) are given."""
    numbers: dict[str, float] = {}
    if reward is not None and prior is not None:
        tokens, lengths = pad([prior.encoding.encode(s) for s in sequences])
        texts = [
            action_texts(prior.encoding, t, int(n)) for t, n in zip(tokens, lengths, strict=True)
        ]
        rewards = reward.score(sequences, texts).rewards
        numbers["reward"] = float(np.nanmean(rewards)) if not np.isnan(rewards).all() else np.nan
    return numbers | domain.metrics(sequences, training)


def nll(prior: Prior, sequences: list[str]) -> float:
    """Mean negative log-likelihood of sequences, nats each."""
    return float(-prior.log_prob(sequences).mean())
