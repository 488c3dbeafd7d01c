"""Loads a shard's memory from the record.

In two passes, so that memory stays bounded: the first reads, part by part, what is kept of every
row, and decides which rows are held whole; the second reads these.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sequence_tutor.distributed.arrow_schema import GROUP, groups_of
from sequence_tutor.distributed.replay.memory.columns import Column, Columns
from sequence_tutor.distributed.replay.memory.shard_memory import KeyedScores, ShardMemory
from sequence_tutor.distributed.replay.messages import FREE_SOURCES, REPORT
from sequence_tutor.distributed.replay.record.retried import read_retried
from sequence_tutor.distributed.replay.record.store import Part, PartStore
from sequence_tutor.distributed.replay.record.writer import read_rows, readable, scan
from sequence_tutor.distributed.replay.worth.worth import Worth, WorthRules
from sequence_tutor.distributed.types import Scored
from sequence_tutor.rewards.base import Scores, Status

_REMEMBERED = ("key", "reward", "status", "error", "source", "seconds", "tokens", "step_rewards")
_STATUS = [status.name.lower() for status in sorted(Status)]


class RecordedLater:
    """Rows that are on record and paid for, but not part of the replay until they are added again.

    A run scored them between its last checkpoint and its end. They are held whole.
    """

    def __init__(self) -> None:
        self._columns = Columns()
        self._slot_of: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._slot_of)

    def __contains__(self, key: str) -> bool:
        return key in self._slot_of

    @property
    def nbytes(self) -> int:
        return self._columns.nbytes

    def put(self, scored: Scored) -> None:
        """Add rows; where a key is there already, its first row stays."""
        first: dict[str, int] = {}
        for i, key in enumerate(scored.keys):
            if key not in self._slot_of:
                first.setdefault(key, i)
        slots = len(self._columns) + np.arange(len(first))
        self._columns.write(slots, scored.select(list(first.values())))
        self._slot_of.update(zip(first, slots.tolist(), strict=True))

    def read(self, keys: list[str]) -> Scored:
        """The rows of keys, all of which must be there, in their order."""
        return self._columns.read(np.array([self._slot_of[key] for key in keys], np.int64))

    def take(self, keys: list[str]) -> Scored:
        """Remove the rows of these keys and return them."""
        rows = self.read(keys)
        for key in keys:
            del self._slot_of[key]
        if not self._slot_of:
            self._columns = Columns()
        return rows


def reload(
    store: PartStore,
    shard: int,
    shards: int,
    reward_id: str,
    memory_rows: int,
    rules: WorthRules,
    live_rows: int | None = None,
) -> tuple[ShardMemory, RecordedLater]:
    """The rows of a shard: the first `live_rows` (by default all) in memory, the rest as recorded
    later. Void rows (`retried`) are in neither, but count among `live_rows`. Rows scored for a
    report are in memory wherever they are, as a run doesn't score them again.

    Raises RecordError for a part that can't be read.
    """
    content, recorded_later = ShardMemory(memory_rows, Worth(rules, shard)), RecordedLater()
    retried = read_retried(store, reward_id)
    parts: list[Part] = []
    # by slot: the part that its row is in, and the row's place there
    part_of, place_of = Column(np.int32), Column(np.int32)
    beyond: list[np.ndarray] = []  # by part: places of the rows that are recorded later
    needed = ["raw."]
    needed += [GROUP] if rules.diversity else []
    needed += ["transformed."] if rules.pareto else []

    def wanted(name: str) -> bool:
        return name in _REMEMBERED or name.startswith(tuple(needed))

    for part, table, places in scan(store, shard, shards, reward_id, wanted):
        with readable(store, part):
            found = _keyed_scores(table)
            reported = pc.equal(table.column("source"), REPORT).to_numpy()
        void = retried.void(part.sequence, found.scores.status, found.scores.errors)
        kept = np.flatnonzero(~void)
        new, named = content.new_rows([found.keys[i] for i in kept.tolist()])
        new = kept[new]
        is_live = np.ones(len(new), bool)
        if live_rows is not None:
            counted = void.copy()
            counted[new] = True
            nth = len(content) + content.void + np.cumsum(counted)
            is_live = (nth[new] <= live_rows) | reported[new]
        live = new[is_live]
        content.void += int(void.sum())
        for rows, slots in content.note(found.select(live), named[is_live]):
            part_of.write(slots, np.full(len(slots), len(parts)))
            place_of.write(slots, places[live[rows]])
        parts.append(part)
        beyond.append(places[new[~is_live]])

    slots = content.kept.slots
    slots = slots[np.argsort(part_of.read(slots), kind="stable")]
    first = np.searchsorted(part_of.read(slots), np.arange(len(parts) + 1))
    for number, part in enumerate(parts):
        here = slots[first[number] : first[number + 1]]
        if len(here):
            content.columns.write(here, read_rows(store, part, place_of.read(here)))
        if len(beyond[number]):
            recorded_later.put(read_rows(store, part, beyond[number]))
    return content, recorded_later


def scores_of_table(table: pa.Table) -> Scores:
    """What became of the rows. Raises what `readable` expects where it isn't a table of scores."""
    status = pc.index_in(table.column("status"), pa.array(_STATUS, pa.string()))
    if status.null_count:
        raise ValueError("a status that isn't one of " + ", ".join(_STATUS))
    texts = [""] * len(table)
    for i in np.flatnonzero(pc.not_equal(table.column("error"), "").to_numpy()).tolist():
        texts[i] = table.column("error")[i].as_py()
    return Scores(
        rewards=table.column("reward").to_numpy(),
        status=status.to_numpy().astype(np.int8),
        seconds=table.column("seconds").to_numpy(),
        errors=texts,
        raw=_numbers(table, "raw."),
        transformed=_numbers(table, "transformed."),
    )


def _numbers(table: pa.Table, prefix: str) -> dict[str, np.ndarray]:
    """The columns whose names have a prefix, by the rest of their names."""
    return {
        name.removeprefix(prefix): table.column(name).to_numpy()
        for name in table.column_names
        if name.startswith(prefix)
    }


def _keyed_scores(table: pa.Table) -> KeyedScores:
    """Raises what `readable` expects where it isn't a table of scores."""
    return KeyedScores(
        keys=table.column("key").to_pylist(),
        scores=scores_of_table(table),
        lengths=pc.fill_null(pc.list_value_length(table.column("tokens")), 0).to_numpy(),
        free=pc.is_in(table.column("source"), pa.array(FREE_SOURCES)).to_numpy(),
        by_step="step_rewards" in table.column_names,
        groups=groups_of(table),
    )
