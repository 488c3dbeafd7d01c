"""`[diversity]` of a run, with the domain that knows the groups."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError
from sequence_tutor.distributed.types import Scored
from sequence_tutor.rewards.base import Domain, Status
from sequence_tutor.rewards.bounds import reward_range
from sequence_tutor.rewards.buckets import BucketRule, Leaders
from sequence_tutor.rewards.names import unknown

# Similarity, 0 to 1, from which on groups share a bucket, if the config doesn't say.
SIMILAR = 0.4


@dataclass(frozen=True)
class Diversity:
    """Which rewards are lowered, and by how much. Can be sent between processes."""

    kind: str
    """What is counted, one of the domain's `groupings`."""
    rule: BucketRule
    """How much of it is enough."""
    least: float | None
    """Similarity from which on groups share a bucket; None where they needn't be compared."""
    domain: Domain
    """Finds groups and compares them."""

    def group(self, key: str) -> str:
        """The group of a valid sequence, given by its key."""
        return self.domain.group(key, self.kind)

    def grouped(self, scored: Scored) -> Scored:
        """The rows with the groups of the valid ones, for the record."""
        groups = np.full(len(scored), None)
        for row in np.flatnonzero(scored.status == Status.OK).tolist():
            groups[row] = self.group(scored.keys[row])
        return replace(scored, groups={self.kind: groups})

    def leaders(self) -> Leaders | None:
        """What puts similar groups into one bucket; None where each has its own."""
        return None if self.least is None else Leaders(self.domain.compare(self.kind), self.least)


def diversity_of(run: RunConfig) -> Diversity | None:
    """What the config asks for; None for nothing. Raises ConfigError where the domain has no such
    groups, or no reward is high enough to be lowered."""
    config, domain = run.diversity, run.domain
    if config is None:
        return None
    if not domain.groupings:
        raise ConfigError(f"[diversity]: {domain.name} have no groups to count; leave it out")
    if config.type not in domain.groupings:
        raise ConfigError(unknown("diversity.type", config.type, domain.groupings))
    usual = domain.groupings[config.type]
    if config.min_similarity is not None and not usual.similar:
        raise ConfigError(
            f"diversity.min_similarity: groups of the type {config.type!r} are equal or not; leave "
            "it out"
        )
    rule = BucketRule(
        usual.bucket_size if config.bucket_size is None else config.bucket_size,
        usual.min_score if config.min_score is None else config.min_score,
        usual.penalty_multiplier
        if config.penalty_multiplier is None
        else config.penalty_multiplier,
    )
    _, most = reward_range(run.reward, domain.name)
    if most < rule.min_score:
        raise ConfigError(
            f"diversity.min_score = {rule.min_score:g} is never reached, as no reward is above "
            f"{most:g}: set it to a lower number"
        )
    least = SIMILAR if config.min_similarity is None else config.min_similarity
    return Diversity(config.type, rule, least if usual.similar else None, domain)
