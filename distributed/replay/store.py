"""Where parts lie: a directory of this machine, or of any file system that pyarrow knows.

Invariant: a part is whole or it isn't there. Names of unfinished files don't end in ".parquet", so
that whoever reads the directory while a run goes on (pandas, polars, DuckDB) sees whole parts only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from sequence_tutor.distributed.files import atomic_file

# A path of this machine, a URI ("s3://bucket/run", "gs://...", "file:///..."), or a pyarrow file
# system and a path in it.
Place = str | Path | tuple[Any, str]

# An upload appears under its name when it is complete; a rename would be a copy.
_OBJECT_STORES = ("s3", "gcs", "abfs")


class RecordError(RuntimeError):
    """A part, or the directory of them, can't be used. The text names it."""


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
    """The one place that knows how parts are read and written: all else goes by names.

    Raises RecordError where the directory (for object stores: the bucket) isn't there or can't be
    looked at. It is not made on the way: a shard that restarts on a machine which doesn't see the
    directory must fail, not start empty.
    """

    def __init__(self, place: Place) -> None:
        self._fs, self._root = _resolve(place)
        self._local = self._fs.type_name == "local"
        self._atomic = self._fs.type_name in _OBJECT_STORES
        # object stores have no empty directories
        must_be = self._root.split("/")[0] if self._atomic else self._root
        try:
            found = self._fs.get_file_info(must_be).type == fs.FileType.Directory
        except (OSError, pa.ArrowException) as error:
            raise RecordError(f"can't look at the record directory {self}: {error}") from error
        if not found:
            where = "on this machine" if self._local else f"in this {self._fs.type_name} store"
            raise RecordError(f"there is no record directory {self} {where}")

    def __str__(self) -> str:
        return self._root if self._local else f"{self._fs.type_name}:{self._root}"

    @staticmethod
    def make(place: Place) -> None:
        """Make the directory if need be; object stores have none."""
        file_system, root = _resolve(place)
        if file_system.type_name not in _OBJECT_STORES:
            file_system.create_dir(root, recursive=True)

    def path(self, part: Part) -> str:
        """For messages: where a part is."""
        return f"{self}/{part.name}"

    def parts(self) -> list[Part]:
        """In writing order."""
        selector = fs.FileSelector(self._root, allow_not_found=self._atomic)
        try:
            files = self._fs.get_file_info(selector)
        except (OSError, pa.ArrowException) as error:
            raise RecordError(f"can't list the record directory {self}: {error}") from error
        return sorted(part for f in files if (part := Part.parse(f.base_name)))

    def write(self, part: Part, table: pa.Table) -> None:
        """Put a part there, whole or not at all. What the file system raises propagates."""
        # in memory first: closing a half-written upload would complete it
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        data = sink.getvalue()
        path = f"{self._root}/{part.name}"
        if self._local:
            with atomic_file(Path(path)) as file:
                file.write(data)
        elif self._atomic:
            self._upload(path, data)
        else:
            try:
                self._upload(f"{path}.tmp", data)
                self._fs.move(f"{path}.tmp", path)
            except BaseException:
                self._forget(f"{path}.tmp")
                raise

    def read(self, part: Part, wanted: Callable[[str], bool] | None = None) -> pa.Table:
        """One part, or of its columns those whose names are wanted. Raises RecordError, naming the
        file, where it isn't readable."""
        try:
            with (
                self._fs.open_input_file(f"{self._root}/{part.name}") as source,
                pq.ParquetFile(source, pre_buffer=True) as file,
            ):
                names = file.schema_arrow.names
                return file.read([n for n in names if wanted(n)] if wanted else None)
        except (OSError, pa.ArrowException) as error:
            raise RecordError(f"broken part {self.path(part)}: {error}") from error

    def _upload(self, path: str, data: pa.Buffer) -> None:
        with self._fs.open_output_stream(path) as stream:
            stream.write(data)

    def _forget(self, path: str) -> None:
        try:
            self._fs.delete_file(path)
        except (OSError, pa.ArrowException):
            pass  # what went wrong before is what is told


def _resolve(place: Place) -> tuple[Any, str]:
    """The file system, without any views into subdirectories, and the path in it."""
    if isinstance(place, tuple):
        file_system, root = place
    elif "://" in str(place):
        try:
            file_system, root = fs.FileSystem.from_uri(str(place))
        except (OSError, pa.ArrowException, ValueError) as error:
            raise RecordError(f"can't use the record directory {place}: {error}") from error
    else:
        file_system, root = fs.LocalFileSystem(), os.path.abspath(place)
    while isinstance(file_system, fs.SubTreeFileSystem):
        file_system, root = file_system.base_fs, _joined(file_system, root)
    return file_system, root.rstrip("/") or "/"


def _joined(view: Any, path: str) -> str:
    """A path in a view as its file system below knows it."""
    return f"{view.base_path.rstrip('/')}/{path.lstrip('/')}"
