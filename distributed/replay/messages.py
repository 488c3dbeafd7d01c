"""What shards answer to the driver and to scorers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from sequence_tutor.distributed.replay.sampler import best_rows
from sequence_tutor.distributed.types import Scored
from sequence_tutor.rewards.base import Scores

# How many of the highest rewards `ShardStats` has.
BEST = 100

# Sources of rows that don't count against the score budget: those that a run began with, and those
# scored for a report after a run.
WARM_START, REPORT = "warm-start", "report"
FREE_SOURCES = (WARM_START, REPORT)


class EmptyReplayError(RuntimeError):
    """Nothing to sample from yet."""


@dataclass(frozen=True)
class AddResult:
    """What a shard did with added rows, or the sum of such answers.

    Sums have no epoch, position and durable: "" and 0.
    """

    added: int
    """Rows stored."""
    duplicates: int
    """Rows ignored, as their keys were known or came twice in the batch."""
    paid: int
    """Stored rows that count against the score budget: not INVALID, and not of FREE_SOURCES."""
    epoch: str = ""
    """Id of the shard's process, new after each restart."""
    position: int = 0
    """Rows that the shard has accepted in this epoch, these included."""
    durable: int = 0
    """How many of those are on record."""


@dataclass(frozen=True)
class RecordView:
    """N valid rows of the replay, the best and the newest: what proposers and the screen see."""

    keys: list[str]
    """N keys, all different."""
    sequences: list[str]
    """N sequences as texts."""
    sources: list[str]
    """What made each sequence, as in `Scored`."""
    rewards: np.ndarray
    """float64 [N], finite: what the rows are worth, which `[diversity]` may have lowered."""
    best: int
    """How many of the first rows are the best, best first."""
    parts: dict[str, np.ndarray]
    """float64 [N] transformed values by component, NaN where there is none."""
    new: np.ndarray
    """bool [N], whether a row is one of the newest; of the rows after the best ones all are."""
    factors: np.ndarray | None = None
    """float64 [N] what the recorded rewards were multiplied by; None for 1 everywhere."""

    def __len__(self) -> int:
        return len(self.keys)

    def select(self, rows: np.ndarray, best: int) -> RecordView:
        """The given rows in that order, of which the first `best` are the best."""
        at = rows.tolist()
        return RecordView(
            [self.keys[i] for i in at],
            [self.sequences[i] for i in at],
            [self.sources[i] for i in at],
            self.rewards[rows],
            best,
            {name: values[rows] for name, values in self.parts.items()},
            self.new[rows],
            None if self.factors is None else self.factors[rows],
        )


def join_views(views: Sequence[RecordView], best: int) -> RecordView:
    """The views of all shards as one, with at most `best` best rows."""
    whole = RecordView(
        [key for view in views for key in view.keys],
        [text for view in views for text in view.sequences],
        [source for view in views for source in view.sources],
        np.concatenate([view.rewards for view in views]),
        0,
        {
            name: np.concatenate([v.parts.get(name, np.full(len(v), np.nan)) for v in views])
            for name in dict.fromkeys(name for view in views for name in view.parts)
        },
        np.concatenate([view.new for view in views]),
        np.concatenate([np.ones(len(v)) if v.factors is None else v.factors for v in views]),
    )
    first = np.concatenate([np.arange(len(view)) < view.best for view in views])
    candidates = np.flatnonzero(first)
    chosen = candidates[best_rows(whole.rewards[candidates], best)]
    others = np.setdiff1d(np.flatnonzero(whole.new), chosen)
    return whole.select(np.concatenate([chosen, others]), len(chosen))


class Claim(IntEnum):
    """State of a key: KNOWN, its outcome is there; YOURS, the asking scorer is to score it; BUSY,
    another scorer is scoring it."""

    KNOWN = 0
    YOURS = 1
    BUSY = 2


@dataclass(frozen=True)
class ClaimAnswer:
    """An answer about B keys."""

    state: np.ndarray
    """int8 [B] of `Claim`."""
    losses: np.ndarray
    """int8 [B] scorers that were lost while they held the key; from `claims.MAX_LOSSES` on it
    shouldn't be scored again."""
    known: Scores
    """Scores of the KNOWN keys, in their order."""
    paid: Scored | None
    """P rows of YOURS keys that were scored and paid for before (`ReplayShard.rewind`): to be added
    as they are, without a new score. None where there are none."""
    already_scored_at: np.ndarray
    """int64 [P] places of these keys among the B, increasing; the first of a repeated key."""


@dataclass(frozen=True)
class Beat:
    """What a shard answers to a scorer's sign of life."""

    epoch: str
    """Id of the shard's process, new after each restart."""
    durable: int
    """Rows accepted in this epoch that are on record."""
    lease_s: float
    """Seconds within which the shard expects the next sign of life."""


@dataclass(frozen=True)
class ShardStats:
    """Numbers of a shard, or of all shards (`combine`)."""

    shard: int
    """The shard's number, -1 for all together."""
    rows: int
    """Rows that are part of the replay."""
    trainable_rows: int
    """Rows that can be sampled."""
    valid_rows: int
    """Rows of `Status.OK`."""
    failed_rows: int
    """Rows that are neither OK nor INVALID."""
    paid_rows: int
    """Rows that count against the score budget."""
    kept_rows: int
    """Rows held whole in memory."""
    recorded_later_rows: int
    """Rows on record that aren't part of the replay until they are added again."""
    void_rows: int
    """Rows on record that are to be tried again (`record.retried`)."""
    waiting_rows: int
    """Rows that are not on record yet."""
    waiting_s: float
    """Seconds that the oldest of them has waited."""
    claimed_keys: int
    """Keys that scorers have claimed."""
    losses: int
    """Claims taken from scorers that were silent for longer than the lease."""
    held_bytes: int
    """Bytes in memory, room to grow included."""
    best: np.ndarray
    """float64 [up to BEST] highest rewards of valid rows, best first."""
    best_sources: list[str]
    """What made each of these rows, as in `Scored`."""
    best_sequence: str = ""
    """The sequence of the highest of these rewards, "" while there is none."""
    live: bool = True
    """False where the shard didn't answer and these are its last known numbers."""
    worst: float = math.inf
    """Lowest reward of a valid row, inf while there is none."""
    best_invalid: float = -math.inf
    """Highest reward of an invalid row, -inf while none has its own."""
    groups: int = 0
    """Groups with a row that takes a place in `[diversity]`, on any shard that this one knows."""
    lowered_rows: int = 0
    """Rows whose reward `[diversity]` lowers in training."""


def floor_of(worst: float) -> float:
    """The reward of an invalid sequence that has none of its own: `worst`, the lowest reward of a
    valid row, or 0 while there is no valid row (inf)."""
    return worst if math.isfinite(worst) else 0.0


def combine(stats: Sequence[ShardStats]) -> ShardStats:
    """The numbers of all shards together."""
    best = np.concatenate([s.best for s in stats])
    sources = [source for s in stats for source in s.best_sources]
    order = best_rows(best, BEST)
    return ShardStats(
        shard=-1,
        rows=sum(s.rows for s in stats),
        trainable_rows=sum(s.trainable_rows for s in stats),
        valid_rows=sum(s.valid_rows for s in stats),
        failed_rows=sum(s.failed_rows for s in stats),
        paid_rows=sum(s.paid_rows for s in stats),
        kept_rows=sum(s.kept_rows for s in stats),
        recorded_later_rows=sum(s.recorded_later_rows for s in stats),
        void_rows=sum(s.void_rows for s in stats),
        waiting_rows=sum(s.waiting_rows for s in stats),
        waiting_s=max(s.waiting_s for s in stats),
        claimed_keys=sum(s.claimed_keys for s in stats),
        losses=sum(s.losses for s in stats),
        held_bytes=sum(s.held_bytes for s in stats),
        best=best[order],
        best_sources=[sources[i] for i in order.tolist()],
        best_sequence=_best_sequence(stats),
        live=all(s.live for s in stats),
        worst=min(s.worst for s in stats),
        best_invalid=max(s.best_invalid for s in stats),
        groups=max(s.groups for s in stats),
        lowered_rows=sum(s.lowered_rows for s in stats),
    )


def _best_sequence(stats: Sequence[ShardStats]) -> str:
    with_best = [s for s in stats if len(s.best)]
    return max(with_best, key=lambda s: s.best[0]).best_sequence if with_best else ""
