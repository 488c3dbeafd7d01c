"""Reading a file of sequences: plain text, gzip, a CSV column or a Parquet column."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


class CorpusError(ValueError):
    """A file that can't be used; the message names it and says what to do."""


@dataclass
class Corpus:
    """Sequences of a file or folder and what was wrong with the rest.

    `groups`: of each sequence the number of the piece it was cut from, so that validation can hold
    out whole pieces; empty where each sequence is a piece of its own. `notes` are remarks on how
    the data was read. `broken` names the first `shown` unusable `parts`, each with the reason.
    """

    path: Path
    parts: str = "lines"
    shown: int = 5
    sequences: list[str] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    broken_count: int = 0
    broken: list[str] = field(default_factory=list)

    def add_broken(self, part: str, reason: str) -> None:
        """`part` is what can't be used: a line and its text, or a file's name."""
        self.broken_count += 1
        if len(self.broken) < self.shown:
            self.broken.append(f"{part}: {reason}")

    def complaints(self) -> str:
        """What was left out, for people; empty where nothing was."""
        if not self.broken_count:
            return ""
        lines = [f"{self.path}: {self.broken_count} unusable {self.parts} left out, for example"]
        return "\n".join(lines + [f"  {part}" for part in self.broken])

    def remarks(self) -> list[str]:
        """All that people should know of the reading."""
        return [*self.notes, *filter(None, [self.complaints()])]


def read_corpus(
    path: Path, check: Callable[[str], str | None], column: str | None = None
) -> Corpus:
    """Read sequences; `check` gives the reason why one can't be used, or None.

    Plain lines may carry a name after white space, as .smi files do. CSV and Parquet need
    `column`, unless they have one called "smiles" or "sequence". Raises CorpusError.
    """
    corpus = Corpus(path)
    for number, text in _lines(path, column):
        if not text:
            continue
        reason = check(text)
        if reason is None:
            corpus.sequences.append(text)
        else:
            corpus.add_broken(f"line {number}: {text[:60]!r}", reason)
    if not corpus.sequences:
        raise CorpusError(f"{path} has no usable sequence. {corpus.complaints()}".strip())
    return corpus


def _lines(path: Path, column: str | None) -> Iterator[tuple[int, str]]:
    if path.is_dir():
        raise CorpusError(f"{path} is a folder; this encoding reads single files (see --encoding)")
    if not path.is_file():
        raise CorpusError(f"there is no file {path}")
    suffixes = [s.lower() for s in path.suffixes]
    try:
        if suffixes[-1:] in ([".parquet"], [".pq"]):
            schema = pq.read_schema(path)
            chosen = _column(path, schema.names, column)
            table = pq.read_table(path, columns=[chosen])
            for i, value in enumerate(table.column(0).to_pylist(), 1):
                yield i, str(value or "").strip()
            return
        opener = gzip.open if suffixes[-1:] == [".gz"] else open
        with opener(path, "rt", encoding="utf-8-sig", newline="") as stream:
            if ".csv" in suffixes:
                rows = csv.DictReader(stream)
                chosen = _column(path, list(rows.fieldnames or []), column)
                for row in rows:
                    yield rows.line_num, (row[chosen] or "").strip()
            else:
                for i, line in enumerate(stream, 1):
                    words = line.split()
                    yield i, words[0] if words else ""
    except (UnicodeDecodeError, gzip.BadGzipFile, zlib.error, EOFError, csv.Error) as error:
        raise CorpusError(f"{path} can't be read as text: {error}") from error
    except pa.ArrowInvalid as error:
        raise CorpusError(f"{path} is not a Parquet file: {error}") from error


def _column(path: Path, names: list[str], wanted: str | None) -> str:
    if wanted is not None:
        if wanted in names:
            return wanted
        raise CorpusError(f"{path} has no column {wanted!r}; it has: {', '.join(names)}")
    for name in names:
        if name.lower() in ("smiles", "sequence"):
            return name
    raise CorpusError(
        f"{path} has no column 'smiles' or 'sequence'; choose one with --column from: "
        f"{', '.join(names)}"
    )
