"""What shards answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sequence_tutor.distributed.replay.sampler import best_rows
from sequence_tutor.distributed.types import Scored

BEST = 100  # how many of the best rewards stats tell


class EmptyReplayError(RuntimeError):
    """Nothing to sample from yet."""


@dataclass(frozen=True)
class AddResult:
    """What became of added rows: added, duplicates ignored (keys known or twice in the batch), and
    new_valid, how many of the added have Status.OK."""

    added: int
    duplicates: int
    new_valid: int


@dataclass(frozen=True)
class Known:
    """An answer about B keys: found bool [B], and the rows of those found, in their order, or None
    if there are none."""

    found: np.ndarray
    rows: Scored | None


@dataclass(frozen=True)
class ShardStats:
    """shard; rows held; trainable_rows, those that can be sampled; valid_rows, of Status.OK;
    failed_rows, neither OK nor INVALID; waiting_rows, not yet on record; held_bytes in memory,
    room to grow included; best, the up to 100 highest rewards of valid rows, float64, best first;
    live, False where the shard didn't answer and these are its last known numbers."""

    shard: int
    rows: int
    trainable_rows: int
    valid_rows: int
    failed_rows: int
    waiting_rows: int
    held_bytes: int
    best: np.ndarray
    live: bool = True


def combine(stats: Sequence[ShardStats]) -> ShardStats:
    """The numbers of all shards as if they were one, number -1."""
    best = np.concatenate([s.best for s in stats])
    return ShardStats(
        shard=-1,
        rows=sum(s.rows for s in stats),
        trainable_rows=sum(s.trainable_rows for s in stats),
        valid_rows=sum(s.valid_rows for s in stats),
        failed_rows=sum(s.failed_rows for s in stats),
        waiting_rows=sum(s.waiting_rows for s in stats),
        held_bytes=sum(s.held_bytes for s in stats),
        best=best[best_rows(best, BEST)],
        live=all(s.live for s in stats),
    )
