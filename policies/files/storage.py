"""Files and directories wherever they lie: on this machine or a mounted one, on S3, GCS, or any
other file system that pyarrow knows.

What is on this machine is reached through its own paths, with atomic writes and fsync. An object
store has no directories to be made and no files that are half there: an object appears when its
upload is complete. Credentials come from the environment of each process; messages have none.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Union

import pyarrow as pa
from pyarrow import fs

from sequence_tutor.policies.files.atomic import atomic_file, sync

# A path of this machine, a URI ("s3://bucket/run", "gs://...", "file:///..."), or a pyarrow file
# system and a path in it.
Where = Union[str, Path, tuple[Any, str], "Location"]

OBJECT_STORES = ("s3", "gcs", "abfs")
# What a URI asks for unless it says otherwise: small objects as one request instead of three; an
# end to trying again, which for GCS is 15 minutes by default.
_DEFAULTS = {
    "s3": "allow_delayed_open=true",
    "gs": "retry_limit_seconds=20",
    "gcs": "retry_limit_seconds=20",
}
# Bytes that are read ahead of who reads a file from its beginning.
READ_AHEAD = 4 << 20
# Seconds that a store has for its first answer.
ANSWER_S = 30.0
# Seconds that connections may take to close at exit, where one has gone unanswered before.
CLOSING_S = 10.0
_FAILURES = (OSError, pa.ArrowException)


class StorageError(OSError):
    """A place that can't be used, or not now; the message names it and says why."""


class Location:
    """A file or a directory, whether it is there or not.

    Operations raise StorageError, on this machine OSError. `str` is the place as it was given,
    without secrets. It can be sent to other processes, which open it with credentials of their own.
    """

    def __init__(self, where: Where) -> None:
        self._fs: Any
        self._root: str
        self._text: str
        if isinstance(where, Location):
            self._fs, self._root, self._text = where._fs, where._root, where._text
        elif isinstance(where, tuple):
            self._fs, self._root = _without_views(*where)
            self._text = self._root if self.is_local else f"{self._fs.type_name}:{self._root}"
        elif "://" in str(where):
            self._fs, self._root = _opened(str(where))
            self._text = str(where)
        else:
            self._fs, self._root = fs.LocalFileSystem(), os.path.abspath(where)
            self._text = str(where)

    def __str__(self) -> str:
        return re.sub(r"://[^/@]*@", "://", self._text)

    def __repr__(self) -> str:
        return f"Location({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Location) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[str, str]:
        return self._fs.type_name, self._root

    def __reduce__(self) -> tuple[Any, ...]:
        return Location, ((self._fs, self._root) if self._is_handle else self.uri,)

    @property
    def _is_handle(self) -> bool:
        """Whether only the file system itself tells where this is."""
        return not self.is_local and "://" not in self._text

    @property
    def uri(self) -> str:
        """A text that means this place in every process: an absolute path, or a URI."""
        if self._is_handle:
            raise ValueError(f"{self} is known to this process alone")
        return self._root if self.is_local else self._text

    @property
    def is_local(self) -> bool:
        """Whether it has a path on this machine; a mounted network file system does."""
        return bool(self._fs.type_name == "local")

    @property
    def is_object_store(self) -> bool:
        return self._fs.type_name in OBJECT_STORES

    @property
    def path(self) -> Path:
        """Of what is local."""
        if not self.is_local:
            raise ValueError(f"{self} is not on this machine")
        return Path(self._root if "://" in self._text else self._text)

    @property
    def name(self) -> str:
        return PurePosixPath(self._root).name

    @property
    def suffixes(self) -> list[str]:
        """Of the name: ".smi" and ".gz"."""
        return PurePosixPath(self._root).suffixes

    def __truediv__(self, name: str) -> Location:
        return self._moved(f"{self._root.rstrip('/')}/{name}", lambda text: f"{text}/{name}")

    def with_name(self, name: str) -> Location:
        """Another one beside it."""
        root = str(PurePosixPath(self._root).with_name(name))
        return self._moved(root, lambda text: text[: len(text) - len(self.name)] + name)

    def _moved(self, root: str, change: Callable[[str], str]) -> Location:
        moved = Location(self)
        text, query = self._text, ""
        if "://" in text and "?" in text:
            text, _, query = text.partition("?")
            query = f"?{query}"
        moved._root, moved._text = root, change(text.rstrip("/")) + query
        return moved

    # -- what is there ---------------------------------------------------------------------------

    def is_file(self) -> bool:
        return bool(self._kind() == fs.FileType.File)

    def is_dir(self) -> bool:
        """Whether it is a directory; in an object store, whether it has anything in it."""
        return bool(self._kind() == fs.FileType.Directory)

    def exists(self) -> bool:
        return bool(self._kind() != fs.FileType.NotFound)

    def _kind(self) -> Any:
        with self._failing("look at"):
            return self._fs.get_file_info(self._root).type

    def is_taken(self) -> bool:
        """Whether anything is there; an empty directory isn't anything."""
        return self.is_file() or bool(self.names())

    def size(self) -> int:
        """Bytes of a file."""
        with self._failing("look at"):
            return int(self._fs.get_file_info(self._root).size)

    def names(self) -> list[str]:
        """What a directory has in it, sorted; nothing where there is none."""
        with self._failing("list"):
            found = self._fs.get_file_info(fs.FileSelector(self._root, allow_not_found=True))
        return sorted(name for info in found if (name := info.base_name))

    def check_reachable(self) -> None:
        """Raises StorageError where an object store doesn't answer, or has no such bucket."""
        if not self.is_object_store:
            return
        bucket = self._root.split("/")[0]
        with self._failing("use"):
            kind = _within(ANSWER_S, lambda: self._fs.get_file_info(bucket).type)
        if kind != fs.FileType.Directory:
            raise StorageError(f"can't use {self}: there is no bucket {bucket}")

    def check_writable(self) -> None:
        """Raises StorageError where a file can't be put there and removed again."""
        self.check_reachable()
        probe = self / f".writable-{uuid.uuid4().hex[:8]}"
        probe.write(b"")
        probe.remove()

    # -- reading ---------------------------------------------------------------------------------

    def read(self) -> bytes:
        """All of a file."""
        with self._failing("read"), self.open() as file:
            return bytes(file.read())

    def open(self) -> Any:
        """A file to be read in any order; a pyarrow file."""
        with self._failing("read"):
            return self._fs.open_input_file(self._root)

    def stream(self) -> Any:
        """A binary file to be read from its beginning, some of it ahead."""
        if self.is_local:
            return self.path.open("rb")
        with self._failing("read"):
            return self._fs.open_input_stream(self._root, compression=None, buffer_size=READ_AHEAD)

    @contextmanager
    def fetched(self) -> Iterator[Path]:
        """The file or directory on this machine: where it is, or else a copy of it for a while."""
        if self.is_local:
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="sequence-tutor-") as directory:
            target = Path(directory) / self.name
            with self._failing("read"):
                fs.copy_files(self._root, str(target), self._fs, fs.LocalFileSystem())
            yield target

    # -- writing ---------------------------------------------------------------------------------

    def make(self) -> None:
        """Make the directory if need be; object stores have none."""
        if self.is_local:
            self.path.mkdir(parents=True, exist_ok=True)
            sync(self.path.parent)
        elif not self.is_object_store:
            with self._failing("make"):
                self._fs.create_dir(self._root, recursive=True)

    def write(self, content: bytes | str | pa.Buffer) -> None:
        """Put a file there, or replace it, whole or not at all. Its directory must be there."""
        data = content.encode("utf-8") if isinstance(content, str) else content
        if self.is_local:
            with atomic_file(self.path) as file:
                file.write(data)
        elif self.is_object_store:
            self._put(self._root, data)
        else:
            temporary = f"{self._root}.{uuid.uuid4().hex[:8]}.tmp"
            with self._forgotten_on_error(temporary):
                self._put(temporary, data)
                with self._failing("write"):
                    self._fs.move(temporary, self._root)

    @contextmanager
    def writer(self) -> Iterator[Any]:
        """A binary file that is there, whole, once the block ends well, for what is too large to
        hold. Of an object store that breaks off, nothing is left either, nor what was there."""
        if self.is_local:
            with atomic_file(self.path) as file:
                yield file
            return
        in_place = self.is_object_store
        target = self._root if in_place else f"{self._root}.{uuid.uuid4().hex[:8]}.tmp"
        # what leaves the block early closes the upload, and so completes it
        with self._forgotten_on_error(target):
            with self._failing("write"):
                stream = self._sink(target)
            with stream:
                yield stream
            if not in_place:
                with self._failing("write"):
                    self._fs.move(target, self._root)

    def remove(self) -> None:
        """A file, or a directory with all that is in it; it need not be there."""
        kind = self._kind()
        if self.is_local and kind == fs.FileType.Directory:
            shutil.rmtree(self.path)
        elif kind != fs.FileType.NotFound:
            with self._failing("remove"):
                directory = kind == fs.FileType.Directory
                (self._fs.delete_dir if directory else self._fs.delete_file)(self._root)

    def _put(self, target: str, data: bytes | pa.Buffer) -> None:
        with self._failing("write"), self._sink(target) as stream:
            stream.write(data)

    def _sink(self, target: str) -> Any:
        # by default what is called .gz would be packed, once more
        return self._fs.open_output_stream(target, compression=None)

    @contextmanager
    def _forgotten_on_error(self, target: str) -> Iterator[None]:
        try:
            yield
        except BaseException:
            try:
                self._fs.delete_file(target)
            except _FAILURES:
                pass  # what went wrong before is what is told
            raise

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        """Errors of the file system as one sentence; those of this machine's have one already."""
        try:
            yield
        except FileNotFoundError as error:
            raise FileNotFoundError(f"there is no {self}") from error
        except _FAILURES as error:
            if self.is_local or isinstance(error, StorageError):
                raise
            raise StorageError(f"can't {what} {self}: {_reason(error)}") from error


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """What a call gives; a connection that is never answered has no end of its own."""
    results: list[Any] = []

    def attempt() -> None:
        try:
            results.append(call())
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    if not results:
        # at exit, closing the connections would wait for it as long as it takes
        atexit.unregister(fs.ensure_s3_finalized)
        atexit.unregister(_close_connections)
        atexit.register(_close_connections)
        raise OSError(f"no answer within {seconds:g} s")
    if isinstance(results[0], BaseException):
        raise results[0]
    return results[0]


def _close_connections() -> None:
    """Those of S3, which has to be told before the process ends, or it may crash in the end."""
    thread = threading.Thread(target=fs.ensure_s3_finalized, daemon=True)
    thread.start()
    thread.join(CLOSING_S)


@lru_cache(maxsize=64)
def _opened(uri: str) -> tuple[Any, str]:
    """The file system of a URI and the path in it; kept, since a client has connections."""
    default = _DEFAULTS.get(uri.split("://")[0], "")
    whole = uri
    if default and default.split("=")[0] not in uri:
        whole += f"{'&' if '?' in uri else '?'}{default}"
    try:
        found = fs.FileSystem.from_uri(whole)
    except (*_FAILURES, ValueError) as error:
        shown = re.sub(r"://[^/@]*@", "://", uri)
        raise StorageError(f"can't use {shown}: {_reason(error)}") from error
    return _without_views(*found)


def _without_views(file_system: Any, root: str) -> tuple[Any, str]:
    """The file system itself where it is a view into a directory of another, and the path in it."""
    while isinstance(file_system, fs.SubTreeFileSystem):
        base = file_system.base_path.rstrip("/")
        file_system, root = file_system.base_fs, f"{base}/{root.lstrip('/')}"
    return file_system, root.rstrip("/") or "/"


def _reason(error: BaseException) -> str:
    """An error's text as one line, without the ids of requests."""
    text = " ".join(str(error).split())
    return re.sub(r" ?\(Request ID: [^)]*\)", "", text)
