"""Rows of a file wherever it lies, one after the other: plain text, gzip, CSV or Parquet.

Memory stays bounded however large the file is: at most a line, a CSV row or a few thousand Parquet
rows are held. All that is wrong with a file is a CorpusError.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from sequence_tutor.policies.storage import Location, Where

# Characters. No sequence is that long; a file of another kind may not have a line end at all.
LONGEST_LINE = 1 << 20
# What is read at once: Parquet rows, and bytes of a column or a text.
BATCH_ROWS, CHUNK_BYTES = 4096, 1 << 20

BOM = b"\xef\xbb\xbf"

# From the columns there are, the names of those to read; raises CorpusError where there is none.
Pick = Callable[[list[str]], Sequence[str]]


class CorpusError(ValueError):
    """A file that can't be used; the message names it and says what to do."""


def kind_of(path: Location) -> Literal["text", "csv", "parquet"]:
    """By its name alone; a .gz at its end doesn't count."""
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes[-1:] in ([".parquet"], [".pq"]):
        return "parquet"
    return "csv" if ".csv" in suffixes else "text"


def read_sequences(where: Where, column: str | None = None) -> Iterator[tuple[int, str]]:
    """(line or row number from 1, sequence) of each line, blank ones included.

    A plain line may carry a name after white space, as .smi files do. CSV and Parquet need
    `column`, unless they have one called "smiles" or "sequence". A row without a value is "";
    blank lines between the rows of a CSV aren't rows. Raises CorpusError.
    """
    path = Location(where)
    if kind_of(path) != "text":
        for number, (value,) in read_rows(path, lambda names: [choose(path, names, column)]):
            yield number, text_of(value)
        return
    for number, line in enumerate(_lines(path), 1):
        words = line.split(None, 1)
        yield number, words[0] if words else ""


def read_rows(where: Where, pick: Pick) -> Iterator[tuple[int, list[Any]]]:
    """(line or row number from 1, the values that `pick` asked for) of each row of a table.

    Values of a CSV are texts, "" where a row ends early. Raises CorpusError.
    """
    path = Location(where)
    return _parquet_rows(path, pick) if kind_of(path) == "parquet" else _csv_rows(path, pick)


def count_rows(where: Where) -> int:
    """How many `read_sequences` gives. Reads the file through, unless it's Parquet."""
    path = Location(where)
    kind = kind_of(path)
    if kind == "csv":
        return sum(1 for _ in read_rows(path, lambda names: names[:1]))
    if kind == "text":
        return _count_lines(path)
    _check_is_file(path)
    try:
        with path.open() as source:
            return int(pq.read_metadata(source).num_rows)
    except (OSError, pa.ArrowException) as error:
        raise CorpusError(f"{path} is not a Parquet file: {error}") from error


def choose(path: Location, names: Sequence[str], wanted: str | None) -> str:
    """The column of sequences: `wanted`, or the one of a usual name. Raises CorpusError."""
    if wanted is not None:
        if wanted in names:
            return wanted
        raise CorpusError(f"{path} has no column {wanted!r}; it has: {', '.join(names)}")
    if (usual := usual_column(names)) is not None:
        return usual
    raise CorpusError(
        f"{path} has no column 'smiles' or 'sequence'; choose one with --column from: "
        f"{', '.join(names)}"
    )


def usual_column(names: Sequence[str]) -> str | None:
    """The first that is called as columns of sequences are."""
    return next((n for n in names if n.strip().lower() in ("smiles", "sequence")), None)


def text_of(value: object) -> str:
    """A cell as text, without white space around it; "" where it's empty."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return "" if value is None else str(value).strip()


def _check_is_file(path: Location) -> None:
    if path.is_dir():
        raise CorpusError(f"{path} is a folder, not a file")
    if not path.is_file():
        raise CorpusError(f"there is no file {path}")


@contextmanager
def _unpacked(path: Location) -> Iterator[Any]:
    """Its bytes, to be read from the beginning."""
    with ExitStack() as stack:
        stream = stack.enter_context(path.stream())
        if [s.lower() for s in path.suffixes[-1:]] == [".gz"]:
            stream = stack.enter_context(gzip.GzipFile(fileobj=stream))
        yield stream


def _lines(path: Location) -> Iterator[str]:
    """Lines of a text, each with its end, which may be \\n, \\r or \\r\\n."""
    _check_is_file(path)
    number = 0
    try:
        with _unpacked(path) as binary:
            text = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
            while line := text.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise CorpusError(
                        f"{path} can't be read as text: line {number} is longer than "
                        f"{LONGEST_LINE:,} characters"
                    )
                yield line
    except UnicodeDecodeError as error:
        # `object` is what was decoded at once: it begins within the line after those delivered
        bad = number + 1 + error.object[: error.start].count(b"\n")
        raise CorpusError(f"{path} can't be read as text at line {bad}: {error}") from error
    except (OSError, zlib.error, EOFError) as error:
        after = f" after line {number}" if number else ""
        raise CorpusError(f"{path} can't be read as text{after}: {error}") from error


def _count_lines(path: Location) -> int:
    """Like counting `_lines`, by bytes: about ten times as fast."""
    _check_is_file(path)
    ends, last = 0, b""
    try:
        with _unpacked(path) as stream:
            if (start := stream.read(len(BOM))) == BOM:
                start = b""
            while chunk := start + stream.read(CHUNK_BYTES):
                start = b""
                ends += chunk.count(b"\n") + chunk.count(b"\r") - chunk.count(b"\r\n")
                ends -= last == b"\r" and chunk[:1] == b"\n"
                last = chunk[-1:]
    except (OSError, zlib.error, EOFError) as error:
        raise CorpusError(f"{path} can't be read as text: {error}") from error
    return ends + (last not in (b"", b"\n", b"\r"))


def _csv_rows(path: Location, pick: Pick) -> Iterator[tuple[int, list[str]]]:
    rows = csv.reader(_lines(path))
    begun = 1
    try:
        header = next((row for row in rows if row), [])
        places = [header.index(name) for name in pick(header)]
        begun = rows.line_num + 1
        for row in rows:
            if row:
                yield rows.line_num, [row[i] if i < len(row) else "" for i in places]
            begun = rows.line_num + 1
    except csv.Error as error:
        raise CorpusError(
            f"{path} can't be read as text: {error}, in the row that begins at line {begun}"
        ) from error


def _parquet_rows(path: Location, pick: Pick) -> Iterator[tuple[int, list[Any]]]:
    _check_is_file(path)
    number = 0
    try:
        # unbuffered, the whole column of a row group would be read at once
        with path.open() as source, pq.ParquetFile(source, buffer_size=CHUNK_BYTES) as file:
            names = pick(file.schema_arrow.names)
            for batch in file.iter_batches(BATCH_ROWS, columns=list(names), use_threads=False):
                columns = [batch.column(name).to_pylist() for name in names]
                for values in zip(*columns, strict=True):
                    number += 1
                    yield number, list(values)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        after = f", after row {number}" if number else ""
        raise CorpusError(f"{path} is not a Parquet file: {error}{after}") from error
