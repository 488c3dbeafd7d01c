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
from sequence_tutor.distributed.config_file import ConfigError
from sequence_tutor.distributed.generating.data import DataProposer
from sequence_tutor.distributed.generating.genetic import GeneticProposer
from sequence_tutor.distributed.population import is_policy
from sequence_tutor.distributed.replay.messages import FREE_SOURCES, RecordView
from sequence_tutor.distributed.search_config import (
    DataConfig,
    GeneticConfig,
    OtherProposerConfig,
    ProposerConfig,
)
from sequence_tutor.rewards.base import Domain
from sequence_tutor.rewards.registry import check_options, unknown

GROUP = "sequence_tutor.proposers"
# Sources of rows that no proposer may be called like.
RESERVED = frozenset({*FREE_SOURCES, "file"})


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
    if name in RESERVED or is_policy(name):
        raise ValueError(f"the name {name!r} is taken: it says where other sequences come from")
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        raise ValueError(unknown("proposer", name, ["data", "genetic", *found]))
    kind = found[name].load()
    check_options("proposer", name, config.options, kind)
    proposer = kind(domain, **config.options)
    _check_interface(proposer)
    return cast(Proposer, proposer)


def _check_interface(proposer: object) -> None:
    """Raises ValueError where a class of another package isn't a proposer."""
    wants = getattr(proposer, "wants", None)
    if not (
        isinstance(wants, tuple) and len(wants) == 2 and all(isinstance(n, int) for n in wants)
    ):
        raise ValueError(f"its `wants` must be two numbers of rows, is {wants!r}")
    if not isinstance(getattr(proposer, "canonical", None), bool):
        raise ValueError("its `canonical` must be True or False")
    if not callable(getattr(proposer, "propose", None)):
        raise ValueError("it has no method `propose`")


def check_proposers(run: RunConfig) -> None:
    """Build every proposer once, so that a mistake in the config ends the run before it begins.
    Raises ConfigError."""
    domain = run.domain
    for name, config in run.proposers.all.items():
        try:
            build_proposer(name, config, domain)
        except Exception as error:
            raise ConfigError(f"proposers.{name}: {error}") from error
