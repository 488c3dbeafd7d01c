"""Finding keys where a sequence can't harm the process that asks.

A domain says whether looking at a sequence can end or hang a process. If so, that is done in the
processes that rewards run in, with a deadline for each sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from sequence_tutor.rewards.base import Domain, Identity, Reward
from sequence_tutor.rewards.config import ComponentConfig, RewardConfig
from sequence_tutor.rewards.isolation.reward import IsolatedReward

# By domain a component that costs nothing, for processes that are only to find keys.
_NO_REWARD = {"molecules": "validity"}


def identifier(domain: Domain, reward: Reward) -> Callable[[Sequence[str]], Sequence[Identity]]:
    """What finds the keys of sequences: the reward's processes if need be, else this one."""
    if domain.isolated:
        return reward.identify
    return partial(_identify_here, domain)


def identify_all(domain: Domain, sequences: Sequence[str]) -> Sequence[Identity]:
    """What each sequence is, one for one, for those that have no reward at hand."""
    if not domain.isolated:
        return _identify_here(domain, sequences)
    config = RewardConfig(component=[ComponentConfig(name=_NO_REWARD[domain.name])])
    with IsolatedReward(config, domain.name) as processes:
        return processes.identify(sequences)


def _identify_here(domain: Domain, sequences: Sequence[str]) -> Sequence[Identity]:
    return [domain.identify(sequence) for sequence in sequences]
