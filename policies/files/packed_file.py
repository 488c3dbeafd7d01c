"""A file's bytes, unpacked if it is packed: gzip, bzip2, xz, zstandard, or a zip of one file.

The first bytes decide how a file is packed; a name that contradicts them is an error.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from sequence_tutor.policies.files.storage import Location

# Ending of the name -> first bytes of a file packed that way.
PACKINGS = {
    ".gz": b"\x1f\x8b",
    ".bz2": b"BZh",
    ".xz": b"\xfd7zXZ\x00",
    ".zst": b"\x28\xb5\x2f\xfd",
    ".zip": b"PK\x03\x04",
}
# Endings of Excel workbooks: each is a zip, but it is the file, not a package around one.
WORKBOOKS = (".xlsx", ".xlsm")
# Bytes that follow "BZh" and a digit: the start of a block, or the end of an empty file.
_BZIP2_NEXT = (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")
# Bytes that are read to find out how a file is packed.
_START_BYTES = 16
# Bytes that are unpacked at a time.
CHUNK_BYTES = 1 << 20
# Members of a zip that operating systems add and that hold no data.
_LITTER = ("__MACOSX/", ".DS_Store", "Thumbs.db")
# Exceptions from reading a packed file that is cut off or damaged.
UNREADABLE = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    NotImplementedError,  # a zip packed by a method that Python doesn't know
    pa.ArrowException,
)


class CorpusError(ValueError):
    """A file can't be used; the message names it and says what to do."""


def check_is_file(path: Location) -> None:
    """Raise CorpusError where there is no file."""
    if path.is_dir():
        raise CorpusError(f"{path} is a folder, not a file")
    if not path.is_file():
        raise CorpusError(f"there is no file {path}")


def suffixes_of(name: str) -> list[str]:
    """Suffixes in lower case, without those that only say how the file is packed."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    while suffixes and suffixes[-1] in PACKINGS:
        suffixes.pop()
    return suffixes


def name_inside(path: Location) -> str:
    """The name by which to judge the content: the file's, or that of the one file in a zip."""
    if packing_of(path) != ".zip":
        return path.name
    with path.open() as source, _zipped(path, source) as archive:
        return _only_member(path, archive).filename


@contextmanager
def unpacked(path: Location) -> Iterator[Any]:
    """Open a file as an unpacked binary stream.

    Raises CorpusError where the packing can't be read; reading a damaged file raises one of
    UNREADABLE.
    """
    packing = packing_of(path)
    with ExitStack() as stack:
        if packing == ".zip":
            source = stack.enter_context(path.open())
            archive = stack.enter_context(_zipped(path, source))
            yield stack.enter_context(archive.open(_only_member(path, archive)))
            return
        stream = stack.enter_context(path.stream())
        if packing == ".gz":
            stream = stack.enter_context(gzip.GzipFile(fileobj=stream))
        elif packing == ".bz2":
            stream = stack.enter_context(bz2.BZ2File(stream))
        elif packing == ".xz":
            stream = stack.enter_context(lzma.LZMAFile(stream))
        elif packing == ".zst":
            stream = stack.enter_context(pa.CompressedInputStream(stream, "zstd"))
        yield stream


@contextmanager
def seekable(path: Location) -> Iterator[Any]:
    """Open a file, unpacked, for a format that is read from its end, such as Parquet.

    A packed file is unpacked into a temporary file, piece by piece, so memory doesn't grow with it.
    Raises CorpusError where it is damaged or the disk is full.
    """
    with ExitStack() as stack:
        if not packing_of(path):
            yield stack.enter_context(path.open())
            return
        file = stack.enter_context(tempfile.TemporaryFile())
        try:
            with unpacked(path) as stream:
                shutil.copyfileobj(stream, file, CHUNK_BYTES)
        except UNREADABLE as error:
            raise CorpusError(
                f"{path} can't be unpacked into {tempfile.gettempdir()}: {error}"
            ) from error
        file.seek(0)
        yield file


def packing_of(path: Location) -> str:
    """A key of PACKINGS, or "". Raises CorpusError where the name says otherwise."""
    check_is_file(path)
    with path.open() as source:
        start = bytes(source.read(_START_BYTES))
    named = PurePosixPath(path.name).suffix.lower()
    found = next((suffix for suffix, magic in PACKINGS.items() if start.startswith(magic)), "")
    if found == ".bz2" and not start[4:].startswith(_BZIP2_NEXT):
        found = ""
    if found == ".zip" and named in WORKBOOKS:
        return ""
    if named in PACKINGS and found != named and start:
        what = f"is packed as {found}" if found else f"isn't packed, it begins with {start!r}"
        raise CorpusError(
            f"{path} can't be read as text: it is called {named} but {what}; rename it"
        )
    return found


def _zipped(path: Location, source: Any) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(source)
    except UNREADABLE as error:
        raise CorpusError(f"{path} can't be read as a zip file: {error}") from error


def _only_member(path: Location, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the one file in a zip. Raises CorpusError unless there is exactly one."""
    names = archive.namelist()
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise CorpusError(
            f"{path} is a spreadsheet or another office document, not a text file; save it as CSV "
            "(UTF-8), or, where it is an Excel workbook, call it .xlsx"
        )
    members = [
        info
        for info in archive.infolist()
        if not info.is_dir()
        and not info.filename.startswith(_LITTER)
        and PurePosixPath(info.filename).name not in _LITTER
    ]
    if len(members) != 1:
        shown = ", ".join(info.filename for info in members[:3])
        more = ", ..." if len(members) > 3 else ""
        raise CorpusError(
            f"{path} is a zip of {len(members)} files{': ' if shown else ''}{shown}{more}; unpack "
            "it and name one file"
        )
    if members[0].flag_bits & 1:
        raise CorpusError(f"{path} is a zip with a password; unpack it first")
    return members[0]
