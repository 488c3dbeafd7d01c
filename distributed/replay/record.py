"""The durable form of the replay: a directory of Parquet parts, written once and never changed.

A part's name tells its place in the writing order, the shard that wrote it out of how many, and
the run of the writer. Invariants: a part is whole or it isn't there (temporary name, fsync,
rename); no writer ever overwrites a part, its own before a restart and those of a twin that was
only believed dead included; names in alphabetical order are parts in writing order (for one shard;
among shards nearly so).
"""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sequence_tutor.distributed.types import Scored, concatenate, from_table, to_table


class RecordError(RuntimeError):
    """A part, or the directory of them, can't be used. The text names it."""


def shard_of(key: str, shards: int) -> int:
    """The shard, 0 to shards - 1, that owns a key: the same in every process and release."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "little") % shards


def _check_shard(shard: int, shards: int) -> None:
    if not 0 <= shard < shards <= 9999:
        raise ValueError(f"shard {shard} of {shards}: need 0 <= shard < shards <= 9999")


class Part(NamedTuple):
    """A part's name, taken apart."""

    sequence: int
    shard: int
    shards: int
    run: str

    @classmethod
    def parse(cls, name: str) -> Part | None:
        """None for a file that isn't a part, temporary files among them."""
        match = re.fullmatch(r"part-(\d{8})-(\d{4})-of-(\d{4})-([0-9a-f]{8})\.parquet", name)
        return match and cls(int(match[1]), int(match[2]), int(match[3]), match[4])

    @property
    def name(self) -> str:
        return f"part-{self.sequence:08d}-{self.shard:04d}-of-{self.shards:04d}-{self.run}.parquet"


class PartStore:
    """The one place that knows where parts lie, local paths for now: all else goes by names.

    Raises RecordError where the directory isn't there. It is not made on the way: a shard that
    restarts on a machine which doesn't see the directory must fail, not start empty.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        if not self.directory.is_dir():
            raise RecordError(f"there is no record directory {self.directory} on this machine")

    def parts(self) -> list[Part]:
        """In writing order."""
        return sorted(part for f in self.directory.iterdir() if (part := Part.parse(f.name)))

    def write(self, part: Part, table: pa.Table) -> None:
        """Put a part there, whole or not at all."""
        path = self.directory / part.name
        temporary = path.with_name(f"{path.name}.tmp")
        try:
            with temporary.open("wb") as file:
                pq.write_table(table, file, compression="zstd")
                file.flush()
                # or a power cut leaves an empty file under the final name
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)  # a full disk must not fill up with attempts
            raise

    def read(self, part: Part) -> pa.Table:
        """One part. Raises RecordError, naming the file, where it isn't readable."""
        path = self.directory / part.name
        try:
            with pq.ParquetFile(path) as file:
                return file.read()
        except (OSError, pa.ArrowException) as error:
            raise RecordError(f"broken part {path}: {error}") from error


class RecordWriter:
    """Collects the rows of one shard and writes them as parts.

    A part is written as soon as `flush_rows` rows wait or the oldest of them has waited for
    `flush_seconds`, looked at in `append` and `tick`. What a crash can lose is what waits: at most
    flush_rows - 1 rows, none older than flush_seconds plus the time to the next call.

    Raises ValueError for a limit that can never be met, RecordError without a directory.
    """

    def __init__(
        self,
        directory: str | Path,
        shard: int,
        shards: int = 1,
        *,
        flush_rows: int = 4096,
        flush_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _check_shard(shard, shards)
        if flush_rows < 1 or flush_seconds < 0:
            raise ValueError(f"need flush_rows >= 1, got {flush_rows}, flush_seconds >= 0")
        self._store = PartStore(directory)
        self._flush_rows, self._flush_seconds, self._clock = flush_rows, flush_seconds, clock
        # behind every shard's parts, so that the order survives a change of the number of shards
        sequence = max((p.sequence for p in self._store.parts()), default=-1) + 1
        self._next = Part(sequence, shard, shards, uuid.uuid4().hex[:8])
        self._waiting: list[Scored] = []
        self._waiting_since = 0.0
        self.waiting = 0  # rows not yet written

    def append(self, scored: Scored) -> None:
        """Add rows. Keeps a reference to their arrays until they're written."""
        if len(scored) == 0:
            return
        if not self._waiting:
            self._waiting_since = self._clock()
        self._waiting.append(scored)
        self.waiting += len(scored)
        if self.waiting >= self._flush_rows:
            self.flush()
        self.tick()

    def tick(self) -> None:
        """Write if the oldest row has waited for long enough."""
        if self._waiting and self._clock() - self._waiting_since >= self._flush_seconds:
            self.flush()

    def flush(self) -> None:
        """Write what waits. If that fails the error propagates and the rows go on waiting."""
        if not self._waiting:
            return
        self._store.write(self._next, to_table(concatenate(self._waiting)))
        self._next = self._next._replace(sequence=self._next.sequence + 1)
        self._waiting, self.waiting = [], 0


def read_parts(directory: str | Path, shard: int = 0, shards: int = 1) -> Iterator[Scored]:
    """The rows that shard `shard` of `shards` owns, part by part in writing order.

    Parts written by another number of shards are looked through for rows of ours, so a run can be
    taken up with more or fewer shards. Raises RecordError for a part that can't be read, ValueError
    for a shard that can't be.
    """
    _check_shard(shard, shards)
    store = PartStore(directory)
    for part in store.parts():
        if part.shards == shards and part.shard != shard:
            continue
        try:
            scored = from_table(store.read(part))
        except (KeyError, ValueError, pa.ArrowException) as error:
            path = store.directory / part.name
            raise RecordError(f"part {path} isn't a table of scores: {error!r}") from error
        if part.shards != shards and shards > 1:
            ours = [shard_of(key, shards) == shard for key in scored.keys]
            scored = scored.select(np.flatnonzero(ours))
        if len(scored):
            yield scored


def read_record(directory: str | Path, shard: int | None = None, shards: int = 1) -> Scored | None:
    """Everything recorded, in writing order, or what shard `shard` of `shards` owns; None if that
    is nothing. Two rows can share a key only where a shard believed dead wrote on."""
    batches = list(read_parts(directory, shard or 0, 1 if shard is None else shards))
    return concatenate(batches) if batches else None


def read_table(directory: str | Path) -> pa.Table:
    """Everything recorded as one table (see `to_table`), in writing order; a column that a part
    lacks is null there. A table without columns if nothing was recorded yet."""
    store = PartStore(directory)
    tables = [store.read(part) for part in store.parts()]
    return pa.concat_tables(tables, promote_options="default") if tables else pa.table({})
