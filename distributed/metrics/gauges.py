"""The metrics that are read at a tick and not counted: those of the replay and the scorers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sequence_tutor.distributed.replay.messages import ShardStats

if TYPE_CHECKING:
    from sequence_tutor.distributed.scoring.pool import ScorerPool

# How many of the best rewards `reward_top10` is the mean of.
TOP = 10


def stats_gauges(stats: ShardStats) -> dict[str, Any]:
    """Fields of `Metrics` from the replay; `stats` of all shards together."""
    best = stats.best[:TOP]
    return {
        "reward_top10": float(best.mean()) if len(best) else math.nan,
        "groups": stats.groups,
        "lowered_share": stats.lowered_rows / max(1, stats.valid_rows),
        "replay_rows": stats.rows,
        "replay_bytes": stats.held_bytes,
        "unrecorded_rows": stats.waiting_rows,
        "unrecorded_s": stats.waiting_s,
        "claimed_keys": stats.claimed_keys,
        "lost_leases": stats.losses,
    }


def scorer_gauges(scorers: ScorerPool[Any]) -> dict[str, Any]:
    """Fields of `Metrics` from the scorers."""
    return {
        "waiting_to_be_scored": scorers.waiting,
        "scoring": scorers.scoring,
        "lost_batches": scorers.lost,
        "retried_batches": scorers.retried,
        "scorers_wanted": len(scorers.fleet),
    }
