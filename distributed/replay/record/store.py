"""The directory of parts: on this machine, or in any file system that pyarrow knows.

Invariant: a part is whole or it isn't there. Names of unfinished files don't end in ".parquet", so
programs that read the directory during a run (pandas, polars, DuckDB) get whole parts only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sequence_tutor.distributed.config import ReplayConfig
from sequence_tutor.policies.files.storage import Location, Where


class RecordError(RuntimeError):
    """A part, or the directory of parts, can't be used. The text names it."""


class Part(NamedTuple):
    """The fields of a part's name. Names in alphabetical order are parts in writing order."""

    sequence: int
    """Where in the writing order, from 0."""
    shard: int
    """Number of the shard that wrote it."""
    shards: int
    """How many shards there were."""
    run: str
    """Random id of the writer, 8 hexadecimal digits, new after each restart."""

    @classmethod
    def parse(cls, name: str) -> Part | None:
        """None for a file that isn't a part, such as a temporary file."""
        match = re.fullmatch(r"part-(\d{8})-(\d{4})-of-(\d{4})-([0-9a-f]{8})\.parquet", name)
        return match and cls(int(match[1]), int(match[2]), int(match[3]), match[4])

    @property
    def name(self) -> str:
        return f"part-{self.sequence:08d}-{self.shard:04d}-of-{self.shards:04d}-{self.run}.parquet"


class PartStore:
    """Lists, reads and writes parts. No other code reads or writes their files.

    Raises RecordError where the directory (for object stores: the bucket) isn't there or can't be
    read. A PartStore doesn't make the directory: a shard that restarts on a machine without it must
    fail, not start empty.
    """

    def __init__(self, place: Where) -> None:
        self.location = _location(place)
        try:
            self.location.check_reachable()
            # object stores have no empty directories
            found = self.location.is_object_store or self.location.is_dir()
        except OSError as error:
            raise RecordError(f"no record directory: {error}") from error
        if not found:
            where = " on this machine" if self.location.is_local else ""
            raise RecordError(f"there is no record directory {self}{where}")

    def __str__(self) -> str:
        return str(self.location)

    @staticmethod
    def make(place: Where) -> None:
        """Make the directory where it is missing; object stores need none."""
        _location(place).make()

    def path(self, part: Part) -> str:
        """Where a part is, for messages."""
        return f"{self}/{part.name}"

    def parts(self) -> list[Part]:
        """In writing order."""
        try:
            names = self.location.names()
        except (OSError, pa.ArrowException) as error:
            raise RecordError(f"can't list the record directory {self}: {error}") from error
        return sorted(part for name in names if (part := Part.parse(name)))

    def write(self, part: Part, table: pa.Table) -> None:
        """Write a part, whole or not at all. Raises OSError."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        (self.location / part.name).write(sink.getvalue())

    def read(self, part: Part, wanted: Callable[[str], bool] | None = None) -> pa.Table:
        """The columns of a part whose names are wanted, by default all. Raises RecordError, naming
        the file, where it can't be read."""
        try:
            with (
                (self.location / part.name).open() as source,
                pq.ParquetFile(source, pre_buffer=True) as file,
            ):
                names = file.schema_arrow.names
                return file.read([n for n in names if wanted(n)] if wanted else None)
        except (OSError, pa.ArrowException) as error:
            raise RecordError(f"broken part {self.path(part)}: {error}") from error


def record_of(replay: ReplayConfig, out: Where) -> Location:
    """The directory of the record of a run in `out`."""
    return Location(replay.record or Location(out) / "scores")


def _location(place: Where) -> Location:
    try:
        return Location(place)
    except OSError as error:
        raise RecordError(str(error)) from error
