"""The state of a run as a checkpoint, and a run's return from one.

The record is no part of a checkpoint: it may be ahead of it, and what it holds has been paid for.
"""

from __future__ import annotations

from typing import Protocol

from sequence_tutor.distributed.metrics.tally import Tally
from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.replay.messages import ShardStats, combine
from sequence_tutor.distributed.run_directory.checkpoint import Checkpoint
from sequence_tutor.distributed.types import Weights


class Learning(Protocol):
    """What is needed of the learners: their state as arrays by name."""

    def export_tensors(self) -> Weights: ...

    def import_tensors(self, tensors: Weights, updates: int) -> None: ...


def take_snapshot(
    learning: Learning, replay: ReplayClient, tally: Tally, config: str
) -> Checkpoint:
    """The state of a run whose rows are on record and whose updates are all counted; `config` is
    its TOML."""
    stats = replay.stats()
    whole = combine(stats)
    rows_held = {"paid_rows": whole.paid_rows, "void_rows": whole.void_rows}
    return Checkpoint(
        tensors=learning.export_tensors(),
        counters=tally.counters() | rows_held,
        live_rows=[shard.rows + shard.void_rows for shard in stats],
        elapsed_s=tally.elapsed_s,
        config=config,
    )


def restore(saved: Checkpoint, learning: Learning, tally: Tally) -> None:
    """Give learners and counters the state of a checkpoint, and publish its weights."""
    learning.import_tensors(saved.tensors, saved.counters["updates"])
    tally.restore(saved.counters, saved.elapsed_s)


def take_up_record(
    replay: ReplayClient, tally: Tally, live_rows: list[int], synchronous: bool
) -> ShardStats:
    """Count what the record holds. live_rows: by shard, those that were there at the checkpoint.

    In synchronous mode later rows come back one by one as the same episodes are generated again, so
    that the run is the uninterrupted one; else they're simply there. What has become void since the
    checkpoint counts no longer. Returns the numbers of all shards together.
    """
    if synchronous:
        replay.rewind(live_rows)
    stats = combine(replay.stats())
    tally.take_up(stats.paid_rows, stats.void_rows, stats.failed_rows, not synchronous)
    if not synchronous:
        # what came after the checkpoint has yet to be learned from
        tally.inserted = max(tally.inserted, stats.paid_rows)
    return stats
