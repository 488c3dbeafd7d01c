"""What each shard tells the others of its rows, so that all know what a row is worth.

The driver passes it on (`ReplayClient.share`): which rows each shard knows of the others (`Heard`),
then the rows that one of them lacks (`News`). Rows have numbers in the order in which their shard
told of them; a restarted shard begins anew, and is known by another epoch.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Columns of M rows, each [M] or [M,K].
Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Heard:
    """How far a shard knows the others."""

    epoch: str
    """Id of what it tells itself, new after each restart."""
    rows: int
    """How many rows it tells of."""
    of: dict[int, tuple[str, int]]
    """By another shard: the epoch that is known, and how many rows of it."""


@dataclass(frozen=True)
class News:
    """Rows of a shard, for the others."""

    shard: int
    """The shard's number."""
    epoch: str
    """See `Heard`."""
    first: int
    """Number of the first row."""
    columns: Columns
    """The rows."""


class SharedRows(ABC):
    """Rows of all shards as one of them knows them. shard: its number."""

    def __init__(self, shard: int) -> None:
        self._shard, self._epoch = shard, uuid.uuid4().hex
        self._known: dict[int, tuple[str, int]] = {}

    @abstractmethod
    def told(self) -> int:
        """How many rows of its own the shard tells of."""

    @abstractmethod
    def tell(self, first: int) -> Columns:
        """These from row number `first` on."""

    @abstractmethod
    def take(self, shard: int, columns: Columns) -> None:
        """Take note of rows of another shard."""

    @abstractmethod
    def forget(self, shard: int) -> None:
        """Forget all rows of another shard."""

    def heard(self) -> Heard:
        """How far this shard knows the others."""
        return Heard(self._epoch, self.told(), dict(self._known))

    def news(self, epoch: str, first: int) -> News:
        """The rows from number `first` on, for shards that know those before it by this epoch; all
        rows where the epoch is another."""
        first = first if epoch == self._epoch else 0
        return News(self._shard, self._epoch, first, self.tell(first))

    def hear(self, news: Sequence[News]) -> None:
        """Take note of rows of other shards. Repeating it changes nothing."""
        for one in news:
            epoch, rows = self._known.get(one.shard, ("", 0))
            if epoch != one.epoch:
                if one.first:  # the rows before it are missing: the next news have them
                    continue
                if epoch:
                    self.forget(one.shard)
                rows = 0
            at = rows - one.first  # those before it are known
            sent = len(next(iter(one.columns.values())))
            if 0 <= at < sent:
                self.take(one.shard, {name: column[at:] for name, column in one.columns.items()})
                rows = one.first + sent
            self._known[one.shard] = one.epoch, rows
