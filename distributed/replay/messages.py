"""What shards answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from sequence_tutor.distributed.replay.sampler import best_rows
from sequence_tutor.distributed.types import Scored

BEST = 100  # how many of the best rewards stats tell

# Sources of rows that don't count against the score budget: those brought along, and those scored
# for a report after the run.
WARM_START, REPORT = "warm-start", "report"
FREE_SOURCES = (WARM_START, REPORT)


class EmptyReplayError(RuntimeError):
    """Nothing to sample from yet."""


@dataclass(frozen=True)
class AddResult:
    """What became of added rows.

    added; duplicates ignored (keys known or twice in the batch); paid, how many of the added count
    against the score budget: any status but INVALID, any source but FREE_SOURCES. Of one shard also
    epoch, the id of its present life, position, the rows it has accepted in it so far, these
    included, and durable, how many of those are on record; "" and 0 in sums over shards.
    """

    added: int
    duplicates: int
    paid: int
    epoch: str = ""
    position: int = 0
    durable: int = 0


class Claim(IntEnum):
    """Whose a key is: KNOWN, its outcome is there; YOURS to score; BUSY, somebody is at it."""

    KNOWN = 0
    YOURS = 1
    BUSY = 2


@dataclass(frozen=True)
class Outcomes:
    """What became of K known keys: rewards float64 [K], NaN where there is none; status int8 [K]
    of `Status`; seconds float32 [K] spent scoring; errors, K texts, empty where all went well; raw
    component values float64 [K], NaN where there is none."""

    rewards: np.ndarray
    status: np.ndarray
    seconds: np.ndarray
    errors: list[str]
    raw: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.errors)

    def select(self, rows: Sequence[int] | np.ndarray) -> Outcomes:
        """The given rows, in that order."""
        index = np.asarray(rows, dtype=np.int64)
        return Outcomes(
            self.rewards[index],
            self.status[index],
            self.seconds[index],
            [self.errors[i] for i in index.tolist()],
            {name: values[index] for name, values in self.raw.items()},
        )


@dataclass(frozen=True)
class ClaimAnswer:
    """An answer about B keys.

    state int8 [B] of `Claim`. losses int8 [B]: how many holders have been lost with the key in
    their hands; from `claims.MAX_LOSSES` on it shouldn't be tried again. known: outcomes of the
    KNOWN ones, in their order. paid: rows of YOURS keys that were scored and paid for before
    (`ReplayShard.rewind`), to be handed back by `add` unscored; already_scored_at int64 [P]: where
    those keys are among the B, increasing; a key that is there twice has its row at the first.
    """

    state: np.ndarray
    losses: np.ndarray
    known: Outcomes
    paid: Scored | None
    already_scored_at: np.ndarray


@dataclass(frozen=True)
class Beat:
    """What a shard answers to a sign of life: epoch, the id of its present life; durable, how many
    of the rows it accepted in it are on record; lease_s, when it expects the next sign at last."""

    epoch: str
    durable: int
    lease_s: float


@dataclass(frozen=True)
class ShardStats:
    """shard; rows, all that are part of the replay; trainable_rows, those that can be sampled now;
    valid_rows, of Status.OK; failed_rows, neither OK nor INVALID; paid_rows, that count against the
    score budget; kept_rows held whole; recorded_later_rows, on record but not part of the replay;
    void_rows, on record but to be tried again (`retried`); waiting_rows, not yet on record, the
    oldest of them for waiting_s; claimed_keys; losses, claims
    taken from holders that were not heard of; held_bytes in memory, room to grow included; best,
    the up to 100 highest rewards of valid rows, float64, best first; live, False where the shard
    didn't answer and these are its last known numbers; worst, the lowest reward of a valid row, inf
    while there is none; best_invalid, the highest of an invalid row, -inf while none has its
    own."""

    shard: int
    rows: int
    trainable_rows: int
    valid_rows: int
    failed_rows: int
    paid_rows: int
    kept_rows: int
    recorded_later_rows: int
    void_rows: int
    waiting_rows: int
    waiting_s: float
    claimed_keys: int
    losses: int
    held_bytes: int
    best: np.ndarray
    live: bool = True
    worst: float = math.inf
    best_invalid: float = -math.inf


def floor_of(worst: float) -> float:
    """What an invalid sequence without a reward of its own is worth, given the lowest reward of a
    valid row: as much, or 0 while there is none (inf)."""
    return worst if math.isfinite(worst) else 0.0


def combine(stats: Sequence[ShardStats]) -> ShardStats:
    """The numbers of all shards as if they were one, number -1."""
    best = np.concatenate([s.best for s in stats])
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
        best=best[best_rows(best, BEST)],
        live=all(s.live for s in stats),
        worst=min(s.worst for s in stats),
        best_invalid=max(s.best_invalid for s in stats),
    )


def merge_outcomes(outcomes: Sequence[Outcomes]) -> Outcomes:
    """Outcomes one after the other; a component that some lack is NaN there. Of none: no rows."""
    names = dict.fromkeys(name for o in outcomes for name in o.raw)
    nothing = [Outcomes(np.zeros(0), np.zeros(0, np.int8), np.zeros(0, np.float32), [])]
    several = list(outcomes) or nothing
    return Outcomes(
        np.concatenate([o.rewards for o in several]),
        np.concatenate([o.status for o in several]),
        np.concatenate([o.seconds for o in several]),
        [text for o in several for text in o.errors],
        {
            name: np.concatenate([o.raw.get(name, np.full(len(o), np.nan)) for o in several])
            for name in names
        },
    )
