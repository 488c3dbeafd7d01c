"""Turns the state of a run into a checkpoint, and restores a run from one.

The record is no part of a checkpoint. It may hold later rows, whose scores have been paid for.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from sequence_tutor.distributed.metrics.tally import Tally
from sequence_tutor.distributed.population import part_of
from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.replay.messages import ShardStats, combine
from sequence_tutor.distributed.run_directory.checkpoint import Checkpoint
from sequence_tutor.distributed.types import Weights

# What a run doesn't take of the one that it goes on from: its temperature and how its best rewards
# rose.
NOT_FOLLOWED = ("temperature.", "plateau.")
# Beginnings of the names of the networks' tensors, and of those of the policy in them.
_MODEL, _POLICIES = "model.", ("model.online.network.", "model.target.network.")


class Temperature(Protocol):
    """What a checkpoint needs of the temperature: its state as arrays by name."""

    def state(self) -> Weights: ...

    def restore(self, tensors: Weights) -> None: ...


class Learning(Protocol):
    """What a checkpoint needs of the learners: their state as arrays by name."""

    def export_tensors(self) -> Weights: ...

    def import_tensors(self, tensors: Weights, updates: int) -> None: ...


def take_snapshot(
    learning: Learning, replay: ReplayClient, tally: Tally, temperature: Temperature, config: str
) -> Checkpoint:
    """The state of a run. All its rows must be on record and all its updates counted. `config` is
    its TOML."""
    stats = replay.stats()
    whole = combine(stats)
    rows_held = {"paid_rows": whole.paid_rows, "void_rows": whole.void_rows}
    return Checkpoint(
        tensors=learning.export_tensors() | temperature.state(),
        counters=tally.counters() | rows_held,
        live_rows=[shard.rows + shard.void_rows for shard in stats],
        elapsed_s=tally.elapsed_s,
        config=config,
    )


def restore(saved: Checkpoint, learning: Learning, tally: Tally, temperature: Temperature) -> None:
    """Give learners, counters and the temperature the state of a checkpoint, and publish its
    weights."""
    temperature.restore(saved.tensors)
    learning.import_tensors(saved.tensors, saved.counters["updates"])
    tally.restore(saved.counters, saved.elapsed_s)


def followed(saved: Weights, own: Weights) -> Weights:
    """The tensors that a run begins with which goes on from another one's checkpoint. own: its
    state before. Log Z and the values' level are found anew, as the rewards are others.

    All networks and moments, where both runs have the same networks; else, such as with another
    algorithm, the first policy alone, for each policy of the new run.
    """
    tensors = {k: v for k, v in saved.items() if not k.startswith(NOT_FOLLOWED)}
    for name in tensors:
        if name.endswith("level_known"):
            tensors[name] = np.array(False)

    def shapes(of: Weights) -> dict[str, tuple[int, ...]]:
        # a checkpoint has a number as an array of one
        return {name: array.shape or (1,) for name, array in of.items() if _MODEL in name}

    if shapes(tensors) == shapes(own):
        return tensors
    policy = {k: v for k, v in part_of(saved, 0).items() if k.startswith(_POLICIES[0])}
    found = dict(own)
    for name in own:
        for prefix in _POLICIES:
            before, there, rest = name.partition(prefix)
            if there and (not before or before.endswith("/")):
                found[name] = policy[_POLICIES[0] + rest]
    return found


def take_up_record(
    replay: ReplayClient, tally: Tally, live_rows: list[int], synchronous: bool
) -> ShardStats:
    """Count the rows of the record in `tally`; returns the numbers of all shards together.

    live_rows: rows of each shard at the checkpoint. In synchronous mode later rows are hidden until
    the same episodes are generated again, so that the run equals an uninterrupted one. In
    asynchronous mode they count at once. Rows that became void since the checkpoint don't count.
    """
    if synchronous:
        replay.rewind(live_rows)
    replay.share()
    stats = combine(replay.stats())
    tally.take_up(stats.paid_rows, stats.void_rows, stats.failed_rows, not synchronous)
    if not synchronous:
        # the learner has yet to use the rows that came after the checkpoint
        tally.inserted = max(tally.inserted, stats.paid_rows)
    return stats
