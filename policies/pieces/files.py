"""The files of music in a folder or a .zip, or a single one. They are unpacked in memory only."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sequence_tutor.policies.files.corpus import CorpusError
from sequence_tutor.policies.pieces.midi_repair import MAX_BYTES
from sequence_tutor.policies.pieces.piece import ReadError
from sequence_tutor.policies.pieces.read import is_music
from sequence_tutor.policies.pieces.suffixes import SUFFIXES


def holds_music(path: Path) -> bool:
    """Whether `music_files` reads this path."""
    return path.is_dir() or path.suffix.lower() in (".zip", *SUFFIXES)


def music_files(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield (name, function that reads at most MAX_BYTES + 1 bytes or raises) of each file, in the
    order of their names. Raises CorpusError."""
    if path.suffix.lower() == ".zip" and not path.is_dir():
        yield from _members(path)
        return
    if path.is_dir():
        files = {p.relative_to(path).as_posix(): p for p in path.rglob("*") if p.is_file()}
    elif path.is_file():
        yield path.name, partial(_start_of, path)
        return
    else:
        raise CorpusError(f"there is no file or folder {path}")
    for name in sorted(filter(is_music, files)):
        yield name, partial(_start_of, files[name])


def _members(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield the same as `music_files` for the members of a .zip."""
    if not path.is_file():
        raise CorpusError(f"there is no file or folder {path}")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise CorpusError(f"{path} can't be read as a zip file: {error}") from error
    with archive:
        infos = [i for i in archive.infolist() if not i.is_dir() and is_music(i.filename)]
        for info in sorted(infos, key=lambda i: i.filename):
            yield info.filename, partial(_member, archive, info)


def _start_of(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The first MAX_BYTES + 1 bytes of a member, unpacked."""
    try:
        with archive.open(info) as stream:
            return stream.read(MAX_BYTES + 1)
    except Exception as error:  # broken, encrypted or packed in an unknown way
        raise ReadError(f"it can't be unpacked: {error}") from error
