"""The genetic proposer: crosses and mutates the best sequences on record.

Parents are drawn by the rank of their reward (Tripp et al. 2020, see `RankSampler`), as Jensen's
graph-based genetic algorithm and its successors do. The domain has the operators.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sequence_tutor.distributed.replay.messages import RecordView
from sequence_tutor.distributed.replay.sampler import rank_weights
from sequence_tutor.distributed.search_config import GeneticConfig
from sequence_tutor.rewards.base import Domain

# Children tried for each child that is asked for: operators may fail, and children repeat.
TRIES = 3
# Its name, in the config and as the source of rows.
GENETIC = "genetic"


class GeneticProposer:
    """Proposes children of the best rows on record. Raises ValueError where the domain has no
    operators."""

    canonical = True

    def __init__(self, config: GeneticConfig, domain: Domain) -> None:
        if not domain.breeds:
            raise ValueError(f"the domain {domain.name!r} can't cross and mutate its sequences")
        self._config, self._domain = config, domain
        self.wants = config.parents, 0

    def propose(self, n: int, view: RecordView, random: np.random.Generator) -> list[str]:
        """Up to n different children of the view's best rows, none of them a row of the view."""
        parents = view.sequences[: view.best]
        weights = rank_weights(len(parents), self._config.rank_k)
        with self._domain.quiet():
            return children(parents, weights, n, set(view.keys), self._config, self._domain, random)


def children(
    parents: Sequence[str],
    weights: np.ndarray,
    n: int,
    known: set[str],
    config: GeneticConfig,
    domain: Domain,
    random: np.random.Generator,
) -> list[str]:
    """Up to n different children, none of which is `known`. weights: float64 [P], how often each of
    P parents is drawn."""
    made: dict[str, None] = {}
    if not parents or n < 1:
        return []
    most = TRIES * n
    drawn = random.choice(len(parents), (most, 2), p=weights / weights.sum())
    for first, second in drawn.tolist():
        if len(made) == n:
            break
        if random.random() < config.crossover:
            child = domain.cross(parents[first], parents[second], random)
            if child is not None and random.random() < config.mutate_crossed:
                child = domain.mutate(child, random) or child
        else:
            child = domain.mutate(parents[first], random)
        if child is not None and child not in known:
            made[child] = None
    return list(made)
