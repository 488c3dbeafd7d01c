"""What proposes sequences beside the policy: the interface, and the proposers by name.

Another package adds one as an entry point of the group "sequence_tutor.proposers": a class like
`GeneticProposer`, called with the domain and its options by name (docs/search.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Protocol, cast

import numpy as np

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.generating.data import DataProposer
from sequence_tutor.distributed.generating.genetic import GeneticProposer
from sequence_tutor.distributed.replay.messages import RecordView
from sequence_tutor.distributed.search_config import (
    DataConfig,
    GeneticConfig,
    OtherProposerConfig,
    ProposerConfig,
)
from sequence_tutor.rewards.base import Domain
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.registry import check_options, unknown

GROUP = "sequence_tutor.proposers"


class Proposer(Protocol):
    """Proposes sequences from what is on record.

    wants: how many of the best and of the newest rows it is to be shown. canonical: whether its
    texts are keys, as those of `Domain.mutate` are; then they needn't be parsed.
    """

    wants: tuple[int, int]
    canonical: bool

    def propose(self, n: int, view: RecordView, random: np.random.Generator) -> Sequence[str]:
        """About n sequences as texts, fewer where there are none. In synchronous mode the result
        must be a function of the arguments alone, or runs aren't repeatable."""


def build_proposer(name: str, config: ProposerConfig, domain: Domain) -> Proposer:
    """The proposer of this name. Raises ValueError where it can't be built."""
    if isinstance(config, GeneticConfig):
        return GeneticProposer(config, domain)
    if isinstance(config, DataConfig):
        return DataProposer(config, domain)
    assert isinstance(config, OtherProposerConfig)
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        raise ValueError(unknown("proposer", name, ["data", "genetic", *found]))
    kind = found[name].load()
    check_options("proposer", name, config.options, kind)
    return cast(Proposer, kind(domain, **config.options))


def check_proposers(run: RunConfig) -> None:
    """Build every proposer once, so that a mistake in the config ends the run before it begins.
    Raises ValueError."""
    domain = domain_of(run.encoding)
    for name, config in run.proposers.all.items():
        try:
            build_proposer(name, config, domain)
        except Exception as error:
            raise ValueError(f"proposers.{name}: {error}") from error
