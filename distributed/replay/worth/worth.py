"""What the rows of a shard are worth: their recorded reward, or their Pareto rank, times what
`[diversity]` leaves of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.replay.worth.diversity import Diversity, diversity_of
from sequence_tutor.distributed.replay.worth.ranks import ParetoRanks, ParetoRule, pareto_of
from sequence_tutor.distributed.replay.worth.shared import Heard, News, SharedRows
from sequence_tutor.distributed.replay.worth.tally import BucketTally
from sequence_tutor.rewards.base import Scores, Status


@dataclass(frozen=True)
class WorthRules:
    """What makes a row worth something else than its recorded reward. Can be sent between
    processes."""

    diversity: Diversity | None = None
    """What `[diversity]` asks for; None for nothing."""
    pareto: ParetoRule | None = None
    """What Pareto ranks compare; None where the reward is worth what is recorded."""

    @property
    def lowest(self) -> float:
        """What a valid row may be worth for these rules, whatever its reward; inf without them."""
        found = np.inf
        if self.diversity is not None:
            rule = self.diversity.rule
            found = rule.penalty_multiplier * rule.min_score
        return min(found, 0.0) if self.pareto is not None else found


def worth_of(run: RunConfig) -> WorthRules:
    """The rules of a run. Raises ConfigError or ValueError where they can't be followed."""
    return WorthRules(diversity_of(run), pareto_of(run))


class Worth:
    """What the rows of a shard are worth, as far as it knows those of the others. Rows are named by
    their numbers in the shard's memory. shard: its number."""

    def __init__(self, rules: WorthRules, shard: int) -> None:
        self._tally = None if rules.diversity is None else BucketTally(rules.diversity, shard)
        self._ranks = None if rules.pareto is None else ParetoRanks(rules.pareto, shard)
        parts: dict[str, SharedRows | None] = {"buckets": self._tally, "ranks": self._ranks}
        self._shared = {name: part for name, part in parts.items() if part is not None}

    def __bool__(self) -> bool:
        """Whether there are any rules."""
        return bool(self._shared)

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in (self._tally, self._ranks) if part is not None)

    @property
    def groups(self) -> int:
        """Groups that `[diversity]` has found, on any shard that is known."""
        return 0 if self._tally is None else self._tally.groups

    @property
    def lowered(self) -> int:
        """Rows of the shard whose reward `[diversity]` lowers."""
        return 0 if self._tally is None else self._tally.lowered

    def learnable(self, scores: Scores) -> np.ndarray:
        """bool [B]: of which rows it can be said what they are worth. Valid rows whose components
        aren't known, as those of a warm start from a table, have no Pareto rank."""
        if self._ranks is None:
            return np.ones(len(scores), bool)
        known = self._ranks.known(scores.transformed, len(scores))
        learnable: np.ndarray = known | (scores.status != Status.OK)
        return learnable

    def add(
        self,
        numbers: np.ndarray,
        keys: Sequence[str],
        scores: Scores,
        groups: dict[str, np.ndarray],
        digests: np.ndarray,
    ) -> None:
        """Take note of B valid rows of the shard: their numbers, int64 [B]; keys; scores; groups by
        kind, as in `Scored`; and digests of the keys, uint64 [B,2]."""
        if self._tally is not None:
            own = groups.get(self._tally.diversity.kind, np.full(len(keys), None))
            self._tally.add(numbers, keys, own.tolist(), scores.rewards, digests)
        if self._ranks is not None:
            self._ranks.add(numbers, scores.transformed, digests)

    def factors(self, numbers: np.ndarray) -> np.ndarray:
        """What `[diversity]` leaves of rows, float64 [B], 1 for most; numbers: int64 [B]."""
        return np.ones(len(numbers)) if self._tally is None else self._tally.factors(numbers)

    def of(self, numbers: np.ndarray, rewards: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """What rows are worth, float64 [B]; numbers int64, rewards float64, valid bool, each [B].
        Rows that aren't valid are worth their reward."""
        found = np.asarray(rewards, np.float64).copy()
        if self._ranks is not None:
            found[valid] = self._ranks.worth(numbers[valid])
        found[valid] *= self.factors(numbers[valid])
        return found

    def heard(self) -> dict[str, Heard]:
        """How far the shard knows the others, by what they share."""
        return {name: part.heard() for name, part in self._shared.items()}

    def news(self, asked: dict[str, tuple[str, int]]) -> dict[str, News]:
        """Rows for the others, by what they share; see `SharedRows.news`."""
        return {name: self._shared[name].news(*since) for name, since in asked.items()}

    def hear(self, news: Sequence[dict[str, News]]) -> None:
        """Take note of rows of other shards."""
        for one in news:
            for name, rows in one.items():
                self._shared[name].hear([rows])
