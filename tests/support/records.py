"""Reads a record as rows; only tests need that."""

from __future__ import annotations

from collections.abc import Iterator

from sequence_tutor.distributed.arrow_schema import from_table
from sequence_tutor.distributed.replay.record.store import PartStore
from sequence_tutor.distributed.replay.record.writer import readable, scan
from sequence_tutor.distributed.types import Scored, concatenate
from sequence_tutor.policies.files.storage import Where


def read_parts(
    place: Where, shard: int = 0, shards: int = 1, reward_id: str | None = None
) -> Iterator[Scored]:
    """The rows that shard `shard` of `shards` owns, part by part in writing order; see `scan`."""
    store = PartStore(place)
    for part, table, _ in scan(store, shard, shards, reward_id):
        with readable(store, part):
            scored = from_table(table)
        yield scored


def read_record(
    place: Where, shard: int | None = None, shards: int = 1, reward_id: str | None = None
) -> Scored | None:
    """All rows in writing order, or those that shard `shard` of `shards` owns, or those of one
    reward configuration; None if there are no rows. Two rows of a reward_id have the same key only
    if a shard that was taken for dead went on writing."""
    batches = list(read_parts(place, shard or 0, 1 if shard is None else shards, reward_id))
    return concatenate(batches) if batches else None


def rows_on_record(place: Where) -> Scored:
    """As `read_record`, of a record that must have rows."""
    rows = read_record(place)
    assert rows is not None
    return rows
