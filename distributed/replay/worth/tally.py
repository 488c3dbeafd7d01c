"""Which rows of a shard have their reward lowered by `[diversity]`.

A group's rows are spread over all shards, since keys are hashed. So each shard tells the others of
its rows that take places, and each works out the same buckets: rows take their places by their
recorded reward, the best first, of equal ones in the order of their keys' digests. Where groups are
equal or not, a row that has lost its place never gets it back, as better ones only come.

Memory: 20 to 40 bytes for every row that takes a place, those of other shards included, 12 to 16
more for the shard's own, and the text of every group once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sequence_tutor.distributed.replay.memory.columns import Column
from sequence_tutor.distributed.replay.worth.diversity import Diversity
from sequence_tutor.distributed.replay.worth.shared import Columns, SharedRows
from sequence_tutor.rewards.buckets import factors


class _Rows:
    """The rows of one shard that take places, in the order of their arrival.

    groups: int32, numbers of their groups; rewards: float64, as recorded; digests: uint64, the
    first 64 bits of each key's digest.
    """

    def __init__(self) -> None:
        self._count = 0
        self.groups, self.rewards = Column(np.int32), Column(np.float64)
        self.digests = Column(np.uint64)

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        return self.groups.nbytes + self.rewards.nbytes + self.digests.nbytes

    def extend(self, groups: np.ndarray, rewards: np.ndarray, digests: np.ndarray) -> None:
        at = np.arange(self._count, self._count + len(groups))
        self.groups.write(at, groups)
        self.rewards.write(at, rewards)
        self.digests.write(at, digests)
        self._count += len(groups)

    def read(self, first: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Groups, rewards and digests from row `first` on."""
        at = np.arange(first, self._count)
        return self.groups.read(at), self.rewards.read(at), self.digests.read(at)


class BucketTally(SharedRows):
    """The buckets as one shard knows them.

    Rows of its own are named by their numbers in the shard's memory, 0, 1, ...
    """

    def __init__(self, diversity: Diversity, shard: int) -> None:
        super().__init__(shard)
        self.diversity = diversity
        self._leaders = diversity.leaders()
        self._ids: dict[str, int] = {}
        self._texts: list[str] = []
        self._text_bytes = 0
        self._own = _Rows()
        self._others: dict[int, _Rows] = {}
        self._place = Column(np.int32)  # by number: 1 + the place in `_own`, 0 for none
        self._factors = np.zeros(0)  # by the place in `_own`
        self._touched: set[int] = set()  # groups with new rows since the factors were worked out

    @property
    def nbytes(self) -> int:
        rows = self._own.nbytes + sum(rows.nbytes for rows in self._others.values())
        arrays = self._place.nbytes + self._factors.nbytes
        return rows + arrays + self._text_bytes

    @property
    def groups(self) -> int:
        """How many groups have a row that takes a place, on any shard that is known."""
        return len(self._texts)

    @property
    def lowered(self) -> int:
        """How many of the shard's own rows have their reward lowered."""
        self._work_out()
        return int((self._factors < 1).sum())

    def add(
        self,
        numbers: np.ndarray,
        keys: Sequence[str],
        groups: Sequence[str | None],
        rewards: np.ndarray,
        digests: np.ndarray,
    ) -> None:
        """Take note of B valid rows of the shard; groups that are None are found here. numbers:
        int64 [B]; rewards: float64 [B]; digests: uint64 [B,2] of the keys."""
        at = np.flatnonzero(rewards >= self.diversity.rule.min_score)
        if not len(at):
            return
        found = [
            self.diversity.group(keys[i]) if (group := groups[i]) is None else group
            for i in at.tolist()
        ]
        self._place.write(numbers[at], 1 + len(self._own) + np.arange(len(at)))
        self._own.extend(self._named(found), rewards[at], digests[at, 0])

    def factors(self, numbers: np.ndarray) -> np.ndarray:
        """What the rewards of the shard's rows are multiplied by, float64 [B], 1 for most; numbers:
        int64 [B]."""
        self._work_out()
        found = np.ones(len(numbers))
        known = np.flatnonzero(numbers < len(self._place))
        places = self._place.read(numbers[known])
        taking = np.flatnonzero(places)
        found[known[taking]] = self._factors[places[taking] - 1]
        return found

    def told(self) -> int:
        """How many rows of the shard take places."""
        return len(self._own)

    def tell(self, first: int) -> Columns:
        """Their groups (texts), rewards and digests."""
        groups, rewards, digests = self._own.read(first)
        texts = np.array([self._texts[i] for i in groups.tolist()], object)
        return {"groups": texts, "rewards": rewards, "digests": digests}

    def take(self, shard: int, columns: Columns) -> None:
        rows = self._others.setdefault(shard, _Rows())
        rows.extend(self._named(columns["groups"]), columns["rewards"], columns["digests"])

    def forget(self, shard: int) -> None:
        rows = self._others.pop(shard, None)  # none where the shard had nothing to tell of
        if rows is not None:
            self._touched.update(np.unique(rows.read()[0]).tolist())

    def _named(self, groups: Sequence[str] | np.ndarray) -> np.ndarray:
        """The numbers of groups, int32 [B], which get new rows."""
        for text in groups:
            if text not in self._ids:
                self._ids[text] = len(self._texts)
                self._texts.append(text)
                self._text_bytes += 150 + len(text)  # of the string, and of the dict and the list
        found = np.array([self._ids[text] for text in groups], np.int32)
        self._touched.update(found.tolist())
        return found

    def _work_out(self) -> None:
        """Bring the factors up to date."""
        if not self._touched:
            return
        parts = [rows.read() for rows in (self._own, *self._others.values())]
        groups, rewards, digests = (np.concatenate(part) for part in zip(*parts, strict=True))
        # where groups may be similar, a new row may change buckets that it isn't in
        asked = np.arange(len(groups))
        if self._leaders is None:
            asked = np.flatnonzero(np.isin(groups, np.fromiter(self._touched, np.int32)))
        order = asked[np.lexsort((digests[asked], -rewards[asked]))]
        if self._leaders is None:
            buckets = groups[order].astype(np.int64)
        else:
            buckets = self._leaders.buckets([self._texts[i] for i in groups[order].tolist()])
        values = factors(rewards[order], buckets, self.diversity.rule)
        own = order < len(self._own)
        missing = len(self._own) - len(self._factors)
        self._factors = np.concatenate([self._factors, np.ones(missing)])
        self._factors[order[own]] = values[own]
        self._touched.clear()
