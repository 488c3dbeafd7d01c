"""All rows on the record of a run in a few columns, and one of them with all of its columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sequence_tutor.distributed.arrow_schema import GROUP, groups_of
from sequence_tutor.distributed.replay.record.reload import scores_of_table
from sequence_tutor.distributed.replay.record.retried import read_retried
from sequence_tutor.distributed.replay.record.store import Part, PartStore
from sequence_tutor.distributed.replay.record.writer import readable, scan
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.rewards.base import Status

_NEEDED = ("key", "sequence", "reward", "status", "error", "seconds")


@dataclass
class RecordRows:
    """The N rows of one reward configuration, the first of each key; void rows are left out."""

    store: PartStore
    """Where the parts are."""
    keys: list[str] = field(default_factory=list)
    """N keys, all different."""
    sequences: list[str] = field(default_factory=list)
    """N sequences."""
    rewards: np.ndarray = field(default_factory=lambda: np.empty(0))
    """float64 [N], NaN where there is none."""
    status: np.ndarray = field(default_factory=lambda: np.empty(0, np.int8))
    """int8 [N] of `Status`."""
    groups: dict[str, list[str | None]] = field(default_factory=dict)
    """By kind: the group of each of the N rows."""
    parts: list[Part] = field(default_factory=list)
    """N parts."""
    places: list[int] = field(default_factory=list)
    """N places in these parts."""

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def row_of(self) -> dict[str, int]:
        """The row of each key."""
        return {key: row for row, key in enumerate(self.keys)}

    @property
    def valid(self) -> np.ndarray:
        """int64: the rows of `Status.OK`."""
        return np.flatnonzero(self.status == Status.OK)

    def rank(self, row: int) -> int:
        """1 for the best valid row; rows with the same reward have the same rank."""
        return int((self.rewards[self.valid] > self.rewards[row]).sum()) + 1

    def whole(self, row: int) -> dict[str, Any]:
        """All columns of a row. Raises RecordError."""
        with readable(self.store, self.parts[row]):
            table = self.store.read(self.parts[row]).slice(self.places[row], 1)
            found: dict[str, Any] = table.to_pylist()[0]
        return found


def record_rows(record: Location, reward_id: str) -> RecordRows:
    """Read the rows of a reward configuration. Raises RecordError."""
    store = PartStore(record)
    retried, found = read_retried(store, reward_id), RecordRows(store)
    seen: set[str] = set()
    rewards: list[np.ndarray] = []
    status: list[np.ndarray] = []

    def wanted(name: str) -> bool:
        return name in _NEEDED or name.startswith(GROUP)

    for part, table, places in scan(store, reward_id=reward_id, wanted=wanted):
        with readable(store, part):
            scores = scores_of_table(table)
            void = retried.void(part.sequence, scores.status, scores.errors)
            kept = []
            for row, key in enumerate(table.column("key").to_pylist()):
                if not void[row] and key not in seen:
                    seen.add(key)
                    kept.append(row)
            groups = groups_of(table)
            here = table.take(pa.array(kept, pa.int64()))  # typed, as there may be none
            found.keys += here.column("key").to_pylist()
            found.sequences += here.column("sequence").to_pylist()
            rewards.append(np.array(pc.fill_null(here.column("reward"), np.nan), np.float64))
            status.append(scores.status[kept])
            before = len(found.parts)
            for kind, values in groups.items():
                column = found.groups.setdefault(kind, [None] * before)
                column += values[kept].tolist()
            found.parts += [part] * len(kept)
            found.places += places[kept].tolist()
            for column in found.groups.values():
                column += [None] * (len(found.parts) - len(column))
    if rewards:
        found.rewards, found.status = np.concatenate(rewards), np.concatenate(status)
    return found
