"""Files and directories on this machine, on S3, GCS, or another file system that pyarrow knows.

Local files are reached by their paths, with atomic writes and fsync. An object store needs no
directories and has no half-written files: an object appears when its upload is complete.
Credentials come from the environment of each process; messages never contain them.
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
# Options added to a URI that doesn't set them. S3: write a small object in one request instead of
# three. GCS: stop retrying after 20 s instead of 15 minutes.
_DEFAULTS = {
    "s3": "allow_delayed_open=true",
    "gs": "retry_limit_seconds=20",
    "gcs": "retry_limit_seconds=20",
}
# Bytes that a stream reads ahead of its reader.
READ_AHEAD = 4 << 20
# Seconds to wait for a store's first answer.
ANSWER_S = 30.0
# Seconds to wait at exit for connections to close, after a request got no answer.
CLOSING_S = 10.0
_FAILURES = (OSError, pa.ArrowException)


class StorageError(OSError):
    """A file or directory can't be used, perhaps only now; the message names it and the reason."""


class Location:
    """A file or a directory that may or may not exist.

    Operations raise StorageError, or OSError for local files. `str` is the location as given,
    without secrets. A location can be pickled; the receiving process uses its own credentials.
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
        """Whether it was given as a pyarrow file system and has no URI."""
        return not self.is_local and "://" not in self._text

    @property
    def uri(self) -> str:
        """An absolute path or a URI, which means the same location in every process."""
        if self._is_handle:
            raise ValueError(f"{self} has no URI, so only this process can use it")
        return self._root if self.is_local else self._text

    @property
    def is_local(self) -> bool:
        """Whether it has a path on this machine; one on a mounted network file system does."""
        return bool(self._fs.type_name == "local")

    @property
    def is_object_store(self) -> bool:
        return self._fs.type_name in OBJECT_STORES

    @property
    def path(self) -> Path:
        """Path on this machine. Raises ValueError where it isn't local."""
        if not self.is_local:
            raise ValueError(f"{self} is not on this machine")
        return Path(self._root if "://" in self._text else self._text)

    @property
    def name(self) -> str:
        return PurePosixPath(self._root).name

    @property
    def suffixes(self) -> list[str]:
        """Suffixes of the name, such as ".smi" and ".gz"."""
        return PurePosixPath(self._root).suffixes

    def __truediv__(self, name: str) -> Location:
        return self._moved(f"{self._root.rstrip('/')}/{name}", lambda text: f"{text}/{name}")

    def with_name(self, name: str) -> Location:
        """The location of this name in the same directory."""
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

    # -- queries ---------------------------------------------------------------------------------

    def is_file(self) -> bool:
        return bool(self._kind() == fs.FileType.File)

    def is_dir(self) -> bool:
        """Whether it is a directory; in an object store, whether anything is in it."""
        return bool(self._kind() == fs.FileType.Directory)

    def exists(self) -> bool:
        return bool(self._kind() != fs.FileType.NotFound)

    def _kind(self) -> Any:
        with self._describing_errors("look at"):
            return self._fs.get_file_info(self._root).type

    def is_taken(self) -> bool:
        """Whether it is a file or a directory that isn't empty."""
        return self.is_file() or bool(self.names())

    def size(self) -> int:
        """Size of a file in bytes."""
        with self._describing_errors("look at"):
            return int(self._fs.get_file_info(self._root).size)

    def names(self) -> list[str]:
        """Names in a directory, sorted; [] where there is no directory."""
        with self._describing_errors("list"):
            found = self._fs.get_file_info(fs.FileSelector(self._root, allow_not_found=True))
        return sorted(name for info in found if (name := info.base_name))

    def check_reachable(self) -> None:
        """Raise StorageError where an object store doesn't answer, or has no such bucket."""
        if not self.is_object_store:
            return
        bucket = self._root.split("/")[0]
        with self._describing_errors("use"):
            kind = _call_within(ANSWER_S, lambda: self._fs.get_file_info(bucket).type)
        if kind != fs.FileType.Directory:
            raise StorageError(f"can't use {self}: there is no bucket {bucket}")

    def check_writable(self) -> None:
        """Raise StorageError where a file can't be written there and removed again."""
        self.check_reachable()
        probe = self / f".writable-{uuid.uuid4().hex[:8]}"
        probe.write(b"")
        probe.remove()

    # -- reading ---------------------------------------------------------------------------------

    def read(self) -> bytes:
        """Read a whole file."""
        with self._describing_errors("read"), self.open() as file:
            return bytes(file.read())

    def open(self) -> Any:
        """Open a pyarrow file for reading at any position."""
        with self._describing_errors("read"):
            return self._fs.open_input_file(self._root)

    def stream(self) -> Any:
        """Open a binary file for reading from its beginning; remote files are read ahead."""
        if self.is_local:
            return self.path.open("rb")
        with self._describing_errors("read"):
            return self._fs.open_input_stream(self._root, compression=None, buffer_size=READ_AHEAD)

    @contextmanager
    def fetched(self) -> Iterator[Path]:
        """Yield a local path: its own, or that of a copy which lasts as long as the block."""
        if self.is_local:
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="sequence-tutor-") as directory:
            target = Path(directory) / self.name
            with self._describing_errors("read"):
                fs.copy_files(self._root, str(target), self._fs, fs.LocalFileSystem())
            yield target

    # -- writing ---------------------------------------------------------------------------------

    def make(self) -> None:
        """Create the directory if it is missing; does nothing in object stores."""
        if self.is_local:
            self.path.mkdir(parents=True, exist_ok=True)
            sync(self.path.parent)
        elif not self.is_object_store:
            with self._describing_errors("make"):
                self._fs.create_dir(self._root, recursive=True)

    def write(self, content: bytes | str | pa.Buffer) -> None:
        """Write or replace a file, whole or not at all. Its directory must exist."""
        data = content.encode("utf-8") if isinstance(content, str) else content
        if self.is_local:
            with atomic_file(self.path) as file:
                file.write(data)
        elif self.is_object_store:
            self._put(self._root, data)
        else:
            temporary = f"{self._root}.{uuid.uuid4().hex[:8]}.tmp"
            with self._removed_on_error(temporary):
                self._put(temporary, data)
                with self._describing_errors("write"):
                    self._fs.move(temporary, self._root)

    @contextmanager
    def writer(self) -> Iterator[Any]:
        """Yield a binary file for content too large for memory; it appears when the block succeeds.

        Where the block fails, an object store keeps neither the new file nor the one before it.
        """
        if self.is_local:
            with atomic_file(self.path) as file:
                yield file
            return
        in_place = self.is_object_store
        target = self._root if in_place else f"{self._root}.{uuid.uuid4().hex[:8]}.tmp"
        # an exception in the block closes the stream, which completes the upload
        with self._removed_on_error(target):
            with self._describing_errors("write"):
                stream = self._sink(target)
            with stream:
                yield stream
            if not in_place:
                with self._describing_errors("write"):
                    self._fs.move(target, self._root)

    def remove(self) -> None:
        """Remove a file, or a directory with its content; does nothing where there is none."""
        kind = self._kind()
        if self.is_local and kind == fs.FileType.Directory:
            shutil.rmtree(self.path)
        elif kind != fs.FileType.NotFound:
            with self._describing_errors("remove"):
                directory = kind == fs.FileType.Directory
                (self._fs.delete_dir if directory else self._fs.delete_file)(self._root)

    def _put(self, target: str, data: bytes | pa.Buffer) -> None:
        with self._describing_errors("write"), self._sink(target) as stream:
            stream.write(data)

    def _sink(self, target: str) -> Any:
        # by default pyarrow compresses a file whose name ends in .gz
        return self._fs.open_output_stream(target, compression=None)

    @contextmanager
    def _removed_on_error(self, target: str) -> Iterator[None]:
        try:
            yield
        except BaseException:
            try:
                self._fs.delete_file(target)
            except _FAILURES:
                pass  # the first error is the one to raise
            raise

    @contextmanager
    def _describing_errors(self, what: str) -> Iterator[None]:
        """Raise errors of a remote file system with one sentence; local ones have one already."""
        try:
            yield
        except FileNotFoundError as error:
            raise FileNotFoundError(f"there is no {self}") from error
        except _FAILURES as error:
            if self.is_local or isinstance(error, StorageError):
                raise
            raise StorageError(f"can't {what} {self}: {_reason(error)}") from error


def _call_within(seconds: float, call: Callable[[], Any]) -> Any:
    """Return the call's result. Raises OSError after `seconds`, as pyarrow may wait for ever."""
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
        # pyarrow's own exit handler would wait for the unanswered request without a limit
        atexit.unregister(fs.ensure_s3_finalized)
        atexit.unregister(_close_connections)
        atexit.register(_close_connections)
        raise OSError(f"no answer within {seconds:g} s")
    if isinstance(results[0], BaseException):
        raise results[0]
    return results[0]


def _close_connections() -> None:
    """Close S3's connections at exit; without that the process may crash when it ends."""
    thread = threading.Thread(target=fs.ensure_s3_finalized, daemon=True)
    thread.start()
    thread.join(CLOSING_S)


@lru_cache(maxsize=64)
def _opened(uri: str) -> tuple[Any, str]:
    """The file system of a URI and the path in it; cached, since a client holds connections."""
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
    """Replace a view into a directory of a file system by that file system and the full path."""
    while isinstance(file_system, fs.SubTreeFileSystem):
        base = file_system.base_path.rstrip("/")
        file_system, root = file_system.base_fs, f"{base}/{root.lstrip('/')}"
    return file_system, root.rstrip("/") or "/"


def _reason(error: BaseException) -> str:
    """An error's text as one line, without the ids of requests."""
    text = " ".join(str(error).split())
    return re.sub(r" ?\(Request ID: [^)]*\)", "", text)
