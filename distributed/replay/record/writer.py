"""The durable form of the replay: a directory of Parquet parts, written once and never changed.

Invariants: a part is whole or it isn't there (`store`); no writer overwrites a part, not even where
two processes write for one shard because the first was taken for dead; names in alphabetical order
are parts in writing order (for one shard; among shards nearly so).

A row has the score of one key by one reward configuration, which its column `reward_id` names, so
runs with different rewards can share a directory.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sequence_tutor.distributed.arrow_schema import from_table, to_table
from sequence_tutor.distributed.replay.record.store import Part, PartStore, RecordError
from sequence_tutor.distributed.types import Scored, concatenate
from sequence_tutor.policies.files.storage import Where

# Rows that are written together at the latest, and seconds after which fewer are.
FLUSH_ROWS, FLUSH_S = 4096, 10.0
# Where writing to a remote record fails: seconds between two attempts, and seconds after which the
# error is raised.
RETRY_S, WRITE_PATIENCE_S = 30.0, 600.0

__all__ = ["RecordError", "RecordWriter", "read_table", "shard_of"]


def shard_of(key: str, shards: int) -> int:
    """The shard, 0 to shards - 1, that owns a key; the same in every process and release."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "little") % shards


def _check_shard(shard: int, shards: int) -> None:
    if not 0 <= shard < shards <= 9999:
        raise ValueError(f"shard {shard} of {shards}: need 0 <= shard < shards <= 9999")


class RecordWriter:
    """Collects the rows of one shard and writes them as parts.

    `append` and `flush_if_due` write a part when `flush_rows` rows wait or the oldest has waited
    for `flush_seconds`. A crash can lose the rows that wait: at most flush_rows - 1, none older
    than flush_seconds plus the time to the next call.

    Where the record isn't on this machine, both repeat a write that fails after RETRY_S, and raise
    its error only once writing has failed for WRITE_PATIENCE_S; more rows wait meanwhile. `flush`
    writes at once and always raises the error.

    Raises ValueError for a limit that can never be met, RecordError without a directory.
    """

    def __init__(
        self,
        place: Where,
        shard: int,
        shards: int = 1,
        *,
        reward_id: str = "",
        flush_rows: int = FLUSH_ROWS,
        flush_seconds: float = FLUSH_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _check_shard(shard, shards)
        if flush_rows < 1 or flush_seconds < 0:
            raise ValueError(f"need flush_rows >= 1, got {flush_rows}, flush_seconds >= 0")
        self._store, self._reward_id = PartStore(place), reward_id
        self._flush_rows, self._flush_seconds, self._clock = flush_rows, flush_seconds, clock
        # after the parts of all shards, so that their order holds if the number of shards changes
        sequence = max((p.sequence for p in self._store.parts()), default=-1) + 1
        self._next = Part(sequence, shard, shards, uuid.uuid4().hex[:8])
        self._waiting: list[Scored] = []
        self._waiting_since = 0.0
        self._failing_since: float | None = None
        self._tried = 0.0
        self.waiting = 0  # rows not yet written

    def append(self, scored: Scored) -> None:
        """Add rows. Keeps a reference to their arrays until they're written."""
        if len(scored) == 0:
            return
        if not self._waiting:
            self._waiting_since = self._clock()
        self._waiting.append(scored)
        self.waiting += len(scored)
        self.flush_if_due()

    @property
    def age_s(self) -> float:
        """Seconds that the oldest waiting row has waited, 0 where none waits."""
        return self._clock() - self._waiting_since if self._waiting else 0.0

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays and lists that wait, without strings, which the memory shares."""
        values = [v for scored in self._waiting for v in vars(scored).values()]
        values += [v for value in values if isinstance(value, dict) for v in value.values()]
        return sum(
            v.nbytes if isinstance(v, np.ndarray) else sys.getsizeof(v)
            for v in values
            if isinstance(v, np.ndarray | list)
        )

    def flush_if_due(self) -> None:
        """Write if `flush_rows` rows wait or the oldest one has waited for `flush_seconds`."""
        if not self._waiting:
            return
        now = self._clock()
        due = self.waiting >= self._flush_rows or now - self._waiting_since >= self._flush_seconds
        if not due or (self._failing_since is not None and now - self._tried < RETRY_S):
            return
        try:
            self.flush()
        except OSError:
            if self._store.location.is_local:
                raise
            self._tried = self._clock()
            if self._failing_since is None:
                self._failing_since = self._tried
            if self._tried - self._failing_since >= WRITE_PATIENCE_S:
                raise

    def flush(self) -> None:
        """Write the rows that wait. If that fails, raise the error and keep the rows."""
        if not self._waiting:
            return
        table = to_table(concatenate(self._waiting))
        reward_ids = pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(len(table), np.int32)), pa.array([self._reward_id], pa.string())
        )
        self._store.write(self._next, table.append_column("reward_id", reward_ids))
        self._next = self._next._replace(sequence=self._next.sequence + 1)
        self._waiting, self.waiting = [], 0
        self._failing_since = None


def scan(
    store: PartStore,
    shard: int = 0,
    shards: int = 1,
    reward_id: str | None = None,
    wanted: Callable[[str], bool] | None = None,
) -> Iterator[tuple[Part, pa.Table, np.ndarray]]:
    """The rows that shard `shard` of `shards` owns, part by part in writing order: the part, the
    rows as a table (the columns whose names are wanted), and their places in the part, int64 [B].

    In parts written by another number of shards the keys are searched, so a run can resume with
    more or fewer shards. With a reward_id, rows of others are left out. Raises RecordError for a
    part that can't be read, ValueError for a shard out of range.
    """
    _check_shard(shard, shards)

    def needed(name: str) -> bool:
        return name in ("key", "reward_id") or wanted is None or wanted(name)

    for part in store.parts():
        if part.shards == shards and part.shard != shard:
            continue
        table = store.read(part, needed)
        with readable(store, part):
            ours = np.ones(len(table), bool)
            if reward_id is not None:
                ours &= _scored_by(table, reward_id)
            if part.shards != shards and shards > 1:
                keys = table.column("key").to_pylist()
                ours &= np.array([shard_of(key, shards) == shard for key in keys], bool)
        rows = np.flatnonzero(ours)
        if len(rows):
            yield part, table if len(rows) == len(table) else table.take(rows), rows


@contextmanager
def readable(store: PartStore, part: Part) -> Iterator[None]:
    """Raises errors of the block, which reads a part's content, as RecordError with its name."""
    try:
        yield
    except (KeyError, ValueError, pa.ArrowException) as error:
        path = store.path(part)
        raise RecordError(f"part {path} isn't a table of scores: {error!r}") from error


def read_rows(store: PartStore, part: Part, rows: np.ndarray) -> Scored:
    """Rows of a part by their places in it (int [B]), in the order given."""
    with readable(store, part):
        return from_table(store.read(part).take(rows))


def read_table(place: Where) -> pa.Table:
    """All rows as one table (see `to_table`; and reward_id), in writing order; a column that a part
    lacks is null there. A table without columns where there are no rows."""
    store = PartStore(place)
    tables = [store.read(part) for part in store.parts()]
    return pa.concat_tables(tables, promote_options="default") if tables else pa.table({})


def _scored_by(table: pa.Table, reward_id: str) -> np.ndarray:
    """bool [B]: which rows have this reward_id."""
    same = pc.equal(table.column("reward_id").cast(pa.string()), reward_id)
    return pc.fill_null(same, reward_id == "").to_numpy()  # type: ignore[no-any-return]
