"""The durable form of the replay: a directory of Parquet parts, written once and never changed.

A part's name tells its place in the writing order, the shard that wrote it out of how many, and
the run of the writer. Invariants: a part is whole or it isn't there (`store`); no writer ever
overwrites a part, its own before a restart and those of a twin that was only believed dead
included; names in alphabetical order are parts in writing order (for one shard; among shards nearly
so).

A row is what one reward configuration said about one key: its column `reward_id` says which, so
runs with different rewards can share a directory. Parts from before there was such a column count
as of reward_id "".
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

from sequence_tutor.distributed.replay.record.store import Part, PartStore, Place, RecordError
from sequence_tutor.distributed.types import Scored, concatenate, from_table, to_table

# Seconds between attempts to write to a place that fails, and until that is an error.
RETRY_S, PATIENCE_S = 30.0, 600.0

__all__ = ["RecordError", "RecordWriter", "read_parts", "read_record", "read_table", "shard_of"]


def shard_of(key: str, shards: int) -> int:
    """The shard, 0 to shards - 1, that owns a key: the same in every process and release."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "little") % shards


def _check_shard(shard: int, shards: int) -> None:
    if not 0 <= shard < shards <= 9999:
        raise ValueError(f"shard {shard} of {shards}: need 0 <= shard < shards <= 9999")


class RecordWriter:
    """Collects the rows of one shard and writes them as parts.

    A part is written as soon as `flush_rows` rows wait or the oldest of them has waited for
    `flush_seconds`, looked at in `append` and `tick`. What a crash can lose is what waits: at most
    flush_rows - 1 rows, none older than flush_seconds plus the time to the next call.

    Where the record isn't on this machine, a write that fails is tried again in `append` or `tick`
    after RETRY_S, and is an error there only once writing has failed for PATIENCE_S: meanwhile more
    rows wait. `flush` tries at once and always tells.

    Raises ValueError for a limit that can never be met, RecordError without a directory.
    """

    def __init__(
        self,
        place: Place,
        shard: int,
        shards: int = 1,
        *,
        reward_id: str = "",
        flush_rows: int = 4096,
        flush_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _check_shard(shard, shards)
        if flush_rows < 1 or flush_seconds < 0:
            raise ValueError(f"need flush_rows >= 1, got {flush_rows}, flush_seconds >= 0")
        self._store, self._reward_id = PartStore(place), reward_id
        self._flush_rows, self._flush_seconds, self._clock = flush_rows, flush_seconds, clock
        # behind every shard's parts, so that the order survives a change of the number of shards
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
        self.tick()

    @property
    def age_s(self) -> float:
        """How long the oldest row that waits has waited, 0 where none does."""
        return self._clock() - self._waiting_since if self._waiting else 0.0

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays and lists that wait; their strings are shared."""
        values = [v for scored in self._waiting for v in vars(scored).values()]
        values += [v for value in values if isinstance(value, dict) for v in value.values()]
        return sum(
            v.nbytes if isinstance(v, np.ndarray) else sys.getsizeof(v)
            for v in values
            if isinstance(v, np.ndarray | list)
        )

    def tick(self) -> None:
        """Write if enough rows wait or the oldest one has waited for long enough."""
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
            if self._tried - self._failing_since >= PATIENCE_S:
                raise

    def flush(self) -> None:
        """Write what waits. If that fails the error propagates and the rows go on waiting."""
        if not self._waiting:
            return
        table = to_table(concatenate(self._waiting))
        whose = pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(len(table), np.int32)), pa.array([self._reward_id], pa.string())
        )
        self._store.write(self._next, table.append_column("reward_id", whose))
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

    Parts written by another number of shards are looked through for keys of ours, so a run can be
    taken up with more or fewer shards. With a reward_id, rows of others are left out. Raises
    RecordError for a part that can't be read, ValueError for a shard that can't be.
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
    """What goes wrong inside is the content of a part: raises RecordError with its name."""
    try:
        yield
    except (KeyError, ValueError, pa.ArrowException) as error:
        path = store.path(part)
        raise RecordError(f"part {path} isn't a table of scores: {error!r}") from error


def read_parts(
    place: Place, shard: int = 0, shards: int = 1, reward_id: str | None = None
) -> Iterator[Scored]:
    """The rows that shard `shard` of `shards` owns, part by part in writing order; see `scan`."""
    store = PartStore(place)
    for part, table, _ in scan(store, shard, shards, reward_id):
        with readable(store, part):
            scored = from_table(table)
        yield scored


def read_rows(store: PartStore, part: Part, rows: np.ndarray) -> Scored:
    """Rows of a part by their places in it (int [B]), in the order given."""
    with readable(store, part):
        return from_table(store.read(part).take(rows))


def read_record(
    place: Place, shard: int | None = None, shards: int = 1, reward_id: str | None = None
) -> Scored | None:
    """Everything recorded, in writing order, or what shard `shard` of `shards` owns, or what one
    reward configuration said; None if that is nothing. Two rows of the same reward_id can share a
    key only where a shard believed dead wrote on."""
    batches = list(read_parts(place, shard or 0, 1 if shard is None else shards, reward_id))
    return concatenate(batches) if batches else None


def read_table(place: Place) -> pa.Table:
    """Everything recorded as one table (see `to_table`; and reward_id), in writing order; a column
    that a part lacks is null there. A table without columns if nothing was recorded yet."""
    store = PartStore(place)
    tables = [store.read(part) for part in store.parts()]
    return pa.concat_tables(tables, promote_options="default") if tables else pa.table({})


def _scored_by(table: pa.Table, reward_id: str) -> np.ndarray:
    """bool [B]: whose reward_id it is."""
    if "reward_id" not in table.column_names:
        return np.full(len(table), reward_id == "")
    same = pc.equal(table.column("reward_id").cast(pa.string()), reward_id)
    return pc.fill_null(same, reward_id == "").to_numpy()  # type: ignore[no-any-return]
