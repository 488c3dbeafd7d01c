"""What the rows of a shard are worth where `reward.aggregate` is "pareto".

Each shard tells the others of its rows that few rows dominate, so all rank their rows among those
of all shards. A row that MOST rows dominate is worth 0 and counts for nothing: what it dominates,
those rows dominate too. So the ranks are a function of the rows on record, and only the rows near
the front need be kept.

Memory: 40 + 8 K bytes for each of these rows (K components), and 8 for every row of the shard.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.replay.memory.columns import Column
from sequence_tutor.distributed.replay.worth.shared import Columns, SharedRows
from sequence_tutor.rewards.aggregate import Aggregate
from sequence_tutor.rewards.compile import aggregate_of
from sequence_tutor.rewards.pareto import MOST, crowding, dominated_by, rank_rewards


@dataclass(frozen=True)
class ParetoRule:
    """What is compared. Can be sent between processes."""

    keys: tuple[str, ...]
    """The names of all components."""
    aggregate: Aggregate
    """Which of them are scores, and which multiply."""

    def values(self, transformed: dict[str, np.ndarray], rows: int) -> np.ndarray:
        """What is compared of B rows, given their transformed components: float64 [B,K], NaN for
        rows that have none, as those of a warm start."""
        none = np.full(rows, np.nan)
        table = np.stack([transformed.get(key, none) for key in self.keys], axis=1)
        return self.aggregate.apart(table)


def pareto_of(run: RunConfig) -> ParetoRule | None:
    """The rule of a run; None with another aggregate. Raises ValueError for unknown components."""
    if run.reward.aggregate != "pareto":
        return None
    return ParetoRule(*aggregate_of(run.reward, run.domain.name))


@dataclass
class _Near:
    """N rows that fewer than MOST rows dominate."""

    values: np.ndarray
    """float64 [N,K]."""
    digests: np.ndarray
    """uint64 [N], the first 64 bits of each key's digest: their order, which no shard changes."""
    dominators: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """int64 [N], by how many rows each is dominated."""
    numbers: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """int64 [N] numbers in the shard's memory, -1 for rows of other shards."""


class ParetoRanks(SharedRows):
    """The ranks as one shard knows them; rows as in `BucketTally`."""

    def __init__(self, rule: ParetoRule, shard: int) -> None:
        super().__init__(shard)
        self._rule = rule
        width = rule.aggregate.apart(np.zeros((0, len(rule.keys)))).shape[1]
        self._near = _Near(np.zeros((0, width)), np.zeros(0, np.uint64))
        self._own = _Log(width)
        self._others: dict[int, _Log] = {}
        self._worth = Column(np.float64)  # by number
        self._stale = False

    @property
    def nbytes(self) -> int:
        near = self._near
        arrays = near.values, near.digests, near.dominators, near.numbers
        logs = sum(log.nbytes for log in (self._own, *self._others.values()))
        return logs + sum(array.nbytes for array in arrays) + self._worth.nbytes

    def known(self, transformed: dict[str, np.ndarray], rows: int) -> np.ndarray:
        """bool [B]: which of B rows have all that is compared."""
        found: np.ndarray = np.isfinite(self._rule.values(transformed, rows)).all(axis=1)
        return found

    def add(
        self, numbers: np.ndarray, transformed: dict[str, np.ndarray], digests: np.ndarray
    ) -> None:
        """Take note of B valid rows of the shard. numbers: int64 [B]; transformed: float64 [B] by
        component; digests: uint64 [B,2] of the keys."""
        values = self._rule.values(transformed, len(numbers))
        known = np.isfinite(values).all(axis=1)
        values, names, numbers = values[known], digests[known, 0], numbers[known]
        if len(numbers):
            near = self._enter(values, names, numbers)
            self._own.extend(values[near], names[near], numbers[near])

    def worth(self, numbers: np.ndarray) -> np.ndarray:
        """What rows of the shard are worth, float64 [B] from 0 to 1; numbers: int64 [B]."""
        self._work_out()
        found = np.zeros(len(numbers))
        known = np.flatnonzero(numbers < len(self._worth))
        found[known] = self._worth.read(numbers[known])
        return found

    def told(self) -> int:
        """How many rows of the shard were near the front when they came."""
        return len(self._own)

    def tell(self, first: int) -> Columns:
        """Their values and digests."""
        values, digests, _ = self._own.read(first)
        return {"values": values, "digests": digests}

    def take(self, shard: int, columns: Columns) -> None:
        log = self._others.setdefault(shard, _Log(self._near.values.shape[1]))
        none = np.full(len(columns["digests"]), -1)
        log.extend(columns["values"], columns["digests"], none)
        self._enter(columns["values"], columns["digests"], none)

    def forget(self, shard: int) -> None:
        self._others.pop(shard, None)  # none where the shard had nothing to tell of
        self._near = _Near(self._near.values[:0], self._near.digests[:0])
        for log in (self._own, *self._others.values()):
            self._enter(*log.read(0))

    def _enter(self, values: np.ndarray, digests: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Rank B more rows with those that are near the front. Returns which of them are near it
        too, int64."""
        near = self._near
        everything = np.concatenate([near.values, values])
        dominators = np.concatenate(
            [near.dominators + dominated_by(near.values, values), dominated_by(values, everything)]
        )
        gone = near.numbers[(dominators[: len(near.numbers)] >= MOST) & (near.numbers >= 0)]
        self._worth.write(gone, np.zeros(len(gone)))
        kept = np.flatnonzero(dominators < MOST)
        entered = kept[kept >= len(near.digests)] - len(near.digests)
        self._near = _Near(
            everything[kept],
            np.concatenate([near.digests, digests])[kept],
            dominators[kept],
            np.concatenate([near.numbers, numbers])[kept],
        )
        self._stale = True
        return entered

    def _work_out(self) -> None:
        if not self._stale:
            return
        near = self._near
        order = np.argsort(near.digests)  # so that ties are broken in the same way by every shard
        ranks = near.dominators[order]
        crowded = np.zeros(len(order))
        for rank in np.unique(ranks).tolist():
            alike = np.flatnonzero(ranks == rank)
            crowded[alike] = crowding(near.values[order[alike]])
        worth = rank_rewards(ranks, crowded)
        own = np.flatnonzero(near.numbers[order] >= 0)
        self._worth.write(near.numbers[order[own]], worth[own])
        self._stale = False


class _Log:
    """Rows that were near the front when they came, in the order of their arrival."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._values, self._digests = Column(np.float64, width), Column(np.uint64)
        self._numbers, self._count = Column(np.int64), 0

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        return self._values.nbytes + self._digests.nbytes + self._numbers.nbytes

    def extend(self, values: np.ndarray, digests: np.ndarray, numbers: np.ndarray) -> None:
        at = np.arange(self._count, self._count + len(digests))
        self._values.write(at, values)
        self._digests.write(at, digests)
        self._numbers.write(at, numbers)
        self._count += len(digests)

    def read(self, first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values, digests and numbers from row `first` on."""
        at = np.arange(first, self._count)
        values = self._values.read(at)[:, : self._width]  # a column is wider than what it holds
        return values, self._digests.read(at), self._numbers.read(at)
