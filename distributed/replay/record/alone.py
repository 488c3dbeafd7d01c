"""The record without shards, for the only process that scores and writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from sequence_tutor.distributed.replay.messages import (
    FREE_SOURCES,
    AddResult,
    Claim,
    ClaimAnswer,
)
from sequence_tutor.distributed.replay.record.reload import scores_of_table
from sequence_tutor.distributed.replay.record.retried import read_retried
from sequence_tutor.distributed.replay.record.store import PartStore
from sequence_tutor.distributed.replay.record.writer import RecordWriter, readable, scan
from sequence_tutor.distributed.types import Scored
from sequence_tutor.policies.files.storage import Where
from sequence_tutor.rewards.base import Scores, Status, merge_scores

_NEEDED = ("reward", "status", "error", "seconds")


class RecordAlone:
    """A `ScoreKeeper` on a record: a key that was looked up is known or free.

    Rows are written as parts of shard 0 of 1, where shards of any number find their keys. Raises
    RecordError where the record can't be read.
    """

    def __init__(self, place: Where, reward_id: str) -> None:
        self._store, self._reward_id = PartStore(place), reward_id
        self._writer = RecordWriter(place, 0, 1, reward_id=reward_id)
        self._known: dict[str, Scores] = {}

    def look_up(self, keys: Iterable[str]) -> None:
        """Read the outcomes of these keys from the record, part by part, without void rows."""
        wanted = set(keys)
        retried = read_retried(self._store, self._reward_id)
        columns = scan(self._store, reward_id=self._reward_id, wanted=_is_needed)
        for part, table, _ in columns:
            with readable(self._store, part):
                found = scores_of_table(table)
                names = table.column("key").to_pylist()
            void = retried.void(part.sequence, found.status, found.errors)
            for row, key in enumerate(names):
                if key in wanted and not void[row]:
                    self._known.setdefault(key, found.select([row]))

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def claim(self, keys: Sequence[str]) -> ClaimAnswer:
        """Keys that aren't known are YOURS."""
        known = np.array([key in self._known for key in keys], bool)
        return ClaimAnswer(
            state=np.where(known, Claim.KNOWN, Claim.YOURS).astype(np.int8),
            losses=np.zeros(len(keys), np.int8),
            known=merge_scores([self._known[key] for key in keys if key in self._known]),
            paid=None,
            already_scored_at=np.zeros(0, np.int64),
        )

    def release(self, keys: Sequence[str]) -> None:
        """Nothing to do: there are no claims."""

    def add(self, scored: Scored) -> AddResult:
        """Store rows with new keys. They are written together with later rows, or at `flush`."""
        for row, key in enumerate(scored.keys):
            self._known[key] = scored.scores.select([row])
        self._writer.append(scored)
        valid = scored.status != Status.INVALID
        free = np.array([source in FREE_SOURCES for source in scored.sources], bool)
        return AddResult(added=len(scored), duplicates=0, paid=int((valid & ~free).sum()))

    def flush(self) -> None:
        """Write all rows that aren't on record yet. Raises OSError."""
        self._writer.flush()


def _is_needed(name: str) -> bool:
    return name in _NEEDED or name.startswith("raw.")
