"""What components read from files: once per process, and again when the file has changed."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class FileData(Generic[T]):
    """The data of files, by path and options.

    `refresh` belongs into a component's check, which is called when a reward is built; `get` into
    the component. So a process that scores keeps what the reward was built with, and doesn't look
    at the file for every molecule.
    """

    def __init__(self, read: Callable[..., T]) -> None:
        """read: path and options -> data; raises ValueError with one sentence, or OSError."""
        self._read = read
        self._kept: dict[tuple[str, Hashable], tuple[tuple[int, int], T]] = {}

    def refresh(self, file: str, *options: Hashable) -> T:
        """The data of the file as it is now. Raises ValueError with one sentence."""
        path = os.path.abspath(file)
        try:
            state = Path(path).stat()
            stamp = (state.st_mtime_ns, state.st_size)
            kept = self._kept.get((path, options))
            if kept is None or kept[0] != stamp:
                kept = self._kept[path, options] = (stamp, self._read(path, *options))
        except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            raise ValueError(f"file = {file!r} can't be read: {reason}") from error
        except ValueError as error:
            raise ValueError(f"file = {file!r}: {error}") from error
        return kept[1]

    def get(self, file: str, *options: Hashable) -> T:
        """The data as `refresh` has read it, or of the file as it is now."""
        kept = self._kept.get((os.path.abspath(file), options))
        return self.refresh(file, *options) if kept is None else kept[1]


def digest_of(file: str) -> str:
    """SHA-256 of a file's content, hexadecimal. Raises ValueError with one sentence."""
    try:
        with Path(file).open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"file = {file!r} can't be read: {error.strerror}") from error


def require_digest(named: str, found: str, wanted: str, kind: str = "file") -> None:
    """Raises ValueError with one sentence unless the digest of a file, `named` for people, is the
    one that is wanted."""
    if found != wanted.lower():
        raise ValueError(
            f"{named} isn't the {kind} of this run: its SHA-256 is {found}, and sha256 says "
            f"{wanted}; bring the file back, or begin a new run"
        )


def pin_file(file: str, sha256: str | None = None, **_: object) -> dict[str, Any]:
    """The `pin` of a component with the options `file` and `sha256`."""
    return {} if sha256 is not None else {"sha256": digest_of(file)}
