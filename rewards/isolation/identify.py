"""Finding keys of sequences so that no sequence can crash or hang the calling process.

`Domain.isolated` says whether parsing a sequence may do that. If so, keys are found in the
processes that rewards run in, with a deadline for each sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from sequence_tutor.rewards.base import Domain, Identity, Reward
from sequence_tutor.rewards.config import ComponentConfig, RewardConfig
from sequence_tutor.rewards.isolation.reward import IsolatedReward


def identifier(domain: Domain, reward: Reward) -> Callable[[Sequence[str]], Sequence[Identity]]:
    """A function that finds keys: in the reward's processes if needed, else in this one. A reward
    may standardize, so where that is possible only the reward knows the key."""
    if domain.isolated or domain.standardizes:
        return reward.identify
    return partial(_identify_here, domain)


def identify_all(domain: Domain, sequences: Sequence[str]) -> Sequence[Identity]:
    """The identity of each sequence, for callers without a reward."""
    if not domain.isolated:
        return _identify_here(domain, sequences)
    config = RewardConfig(component=[ComponentConfig(name=domain.cheapest)])
    with IsolatedReward(config, domain.name) as processes:
        return processes.identify(sequences)


def _identify_here(domain: Domain, sequences: Sequence[str]) -> Sequence[Identity]:
    return [domain.identify(sequence) for sequence in sequences]
