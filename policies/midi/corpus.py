"""MIDI files of a folder or a .zip -> windows of melodies, from which a prior is trained."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from sequence_tutor.policies.files.corpus import Corpus, CorpusError
from sequence_tutor.policies.melody_tokens import TOKENS
from sequence_tutor.policies.midi.line import windows
from sequence_tutor.policies.midi.read import MAX_BYTES, MidiError, MidiMelodies, read_midi

_SUFFIXES = (".mid", ".midi")


def is_midi(path: Path) -> bool:
    """Whether `read_midi_corpus` reads this path."""
    return path.is_dir() or path.suffix.lower() in (".zip", *_SUFFIXES)


def read_midi_corpus(path: Path, check: Callable[[str], str | None], length: int) -> Corpus:
    """Read the distinct windows of `length` steps of all MIDI files in a folder or .zip, or of one.

    Each file is a piece and one group of the corpus; a window that occurs in several files belongs
    to the first. `check` returns the reason why a window can't be used, or None. Files are read in
    the order of their names; unusable ones are noted and skipped. Raises CorpusError.
    """
    corpus = Corpus(path, parts="files", shown=1000)
    pieces: list[MidiMelodies] = []
    seen: set[str] = set()
    cut = 0
    for group, (name, read) in enumerate(_files(path)):
        try:
            piece = read_midi(read())
        except (MidiError, OSError) as error:
            corpus.add_broken(name, str(error))
            continue
        pieces.append(piece)
        for segment in piece.segments:
            for window in windows(segment, length):
                cut += 1
                text = "".join(TOKENS[token] for token in window)
                if text in seen:
                    continue
                seen.add(text)
                reason = check(text)
                if reason is None:
                    corpus.sequences.append(text)
                    corpus.groups.append(group)
                else:
                    corpus.add_broken(f"{name}: {text[:60]!r}", reason)
    if not pieces and not corpus.broken_count:
        raise CorpusError(f"{path} has no MIDI file, none named *.mid or *.midi")
    if not corpus.sequences:
        why = corpus.complaints() if corpus.broken_count else ""
        raise CorpusError(f"{path} has no melody of {length} steps. {why}".strip())
    corpus.notes += _remarks(pieces, corpus, length, cut - len(seen))
    return corpus


def _remarks(pieces: list[MidiMelodies], corpus: Corpus, length: int, repeats: int) -> list[str]:
    """Remarks for the user on how the files were read."""
    moved = sum(piece.shift % 12 != 0 for piece in pieces)
    remarks = [
        f"{len(corpus.sequences)} windows of {length} steps from {len(set(corpus.groups))} of "
        f"{len(pieces)} MIDI files; {repeats} repeated windows left out",
        f"{moved} files transposed to C major or A minor",
    ]
    total = sum(piece.notes for piece in pieces)
    changes = [
        (sum(piece.moved for piece in pieces), "off-grid notes quantised"),
        (sum(piece.collided for piece in pieces), "dropped (same step)"),
        (sum(piece.vanished for piece in pieces), "dropped (too short)"),
        (sum(piece.out_of_range for piece in pieces), "dropped (out of range)"),
    ]
    if any(count for count, _ in changes):
        counts = ", ".join(f"{count} {what}" for count, what in changes if count)
        remarks.append(f"of {total} notes {counts}")
    return remarks


def _files(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield (name, function that reads at most MAX_BYTES + 1 bytes or raises) of each MIDI file."""
    if path.suffix.lower() == ".zip" and not path.is_dir():
        yield from _members(path)
        return
    if path.is_dir():
        files = {p.relative_to(path).as_posix(): p for p in path.rglob("*") if p.is_file()}
    elif path.is_file():
        files = {path.name: path}
    else:
        raise CorpusError(f"there is no file or folder {path}")
    for name in sorted(filter(_is_wanted, files)):
        yield name, partial(_start_of, files[name])


def _members(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield the same as `_files` for the members of a .zip; they are unpacked in memory only."""
    if not path.is_file():
        raise CorpusError(f"there is no file or folder {path}")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise CorpusError(f"{path} can't be read as a zip file: {error}") from error
    with archive:
        infos = [i for i in archive.infolist() if not i.is_dir() and _is_wanted(i.filename)]
        for info in sorted(infos, key=lambda i: i.filename):
            yield info.filename, partial(_member, archive, info)


def _is_wanted(name: str) -> bool:
    """Whether the name is that of a MIDI file, and not of a hidden file."""
    parts = PurePosixPath(name).parts
    hidden = any(part == "__MACOSX" or part.startswith(".") and part != ".." for part in parts)
    return name.lower().endswith(_SUFFIXES) and not hidden


def _start_of(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The first MAX_BYTES + 1 bytes of a member, unpacked."""
    try:
        with archive.open(info) as stream:
            return stream.read(MAX_BYTES + 1)
    except Exception as error:  # broken, encrypted or packed in an unknown way
        raise MidiError(f"it can't be unpacked: {error}") from error
