"""Rows of a local or remote file, one after the other: plain text, CSV, Parquet, Excel or SDF.

This is the one way by which commands read files of sequences. Each may be packed (`packed_file`).
Memory doesn't grow with the file: at most a line, a row, a record or a few thousand Parquet rows
are held. Every fault of a file raises a CorpusError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sequence_tutor.policies.files.csv_rows import PlacesOf, csv_rows
from sequence_tutor.policies.files.file_format import Format, format_of, is_usual
from sequence_tutor.policies.files.packed_file import CHUNK_BYTES, seekable
from sequence_tutor.policies.files.packed_file import CorpusError as CorpusError
from sequence_tutor.policies.files.sd_file import names_and_count, sd_rows
from sequence_tutor.policies.files.storage import Location, Where
from sequence_tutor.policies.files.text_lines import count_text_lines, cut, text_lines
from sequence_tutor.policies.files.workbook import sheet_rows

# Parquet rows that are read at a time; of a column CHUNK_BYTES.
BATCH_ROWS = 4096

# Names of all columns -> names of those to read. Raises CorpusError where there is none.
Pick = Callable[[list[str]], Sequence[str]]


def read_sequences(
    where: Where, column: str | None = None, tolerant: bool = False
) -> Iterator[tuple[int, str]]:
    """Yield (number of the line, row or record from 1, sequence) of each, blank lines included.

    The sequence of a line or cell is its text up to the first white space; a name or a CXSMILES
    extension after it is ignored. Tables need `column`, unless a column is called "smiles" or
    "sequence"; with a `column` a text file is read as a table. An SD file is a table whose column
    "sequence" has the molecules. A row without a value gives ""; blank rows of a CSV or a workbook
    are skipped.

    Raises CorpusError. With `tolerant` a line that is too long or isn't UTF-8 doesn't raise; it
    gives a text that is no valid sequence.
    """
    path = Location(where)
    form = format_of(path, column)
    if form.kind == "text":
        for number, line in enumerate(text_lines(path, tolerant), 1):
            yield number, sequence_of(line)
        return
    rows = _rows(path, form, lambda names: [names.index(choose(path, names, column))], tolerant)
    for number, (value,) in rows:
        yield number, sequence_of(value)


def read_rows(
    where: Where, pick: Pick, column: str | None = None
) -> Iterator[tuple[int, list[Any]]]:
    """Yield (number of the line, row or record from 1, values of the columns that `pick` chose).

    Values are texts, "" for a missing field, but those of Parquet keep their types. With a `column`
    a text file is read as a table. Raises CorpusError.
    """
    path = Location(where)
    form = format_of(path, column)
    if form.kind == "text":
        raise CorpusError(f"{path} is not a table: it is neither CSV, Parquet, Excel nor SDF")
    return _rows(path, form, lambda names: [names.index(name) for name in pick(names)], False)


def read_table(
    where: Where, column: str | None = None, tolerant: bool = False
) -> tuple[list[str], int, Iterator[list[str]]]:
    """Return the column names of a file, the index of the column of sequences, and all
    rows with a text for every column.

    A plain text has the columns "sequence" and "name", which is the rest of the line. Rows and
    their order are those of `read_sequences`. Raises CorpusError; not for Parquet.
    """
    path = Location(where)
    form = format_of(path, column)
    if form.kind == "text":
        return ["sequence", "name"], 0, map(_sequence_and_name, text_lines(path, tolerant))
    header: list[str] = []

    def all_columns(names: list[str]) -> Sequence[int]:
        header.extend(names)
        # first, since `csv_rows` takes the first one for the column of sequences
        place = names.index(choose(path, names, column))
        return [place, *(i for i in range(len(names)) if i != place)]

    rows = _rows(path, form, all_columns, tolerant)
    first = next(rows, None)
    place = header.index(choose(path, header, column))

    def in_column_order() -> Iterator[list[str]]:
        if first is not None:
            for _, (sequence, *others) in chain([first], rows):
                yield [*others[:place], sequence, *others[place:]]

    return header, place, in_column_order()


def count_rows(where: Where, column: str | None = None, tolerant: bool = False) -> int:
    """Number of rows that `read_sequences` yields. Reads the whole file, unless it's Parquet; no
    molecule of an SD file is read."""
    path = Location(where)
    form = format_of(path, column)
    if form.kind == "text":
        return count_text_lines(path)
    if form.kind == "sdf":
        names, count = names_and_count(path, tolerant)
        choose(path, names, column)
        return count
    if form.kind != "parquet":

        def one(names: list[str]) -> list[int]:
            name = column if column is not None else usual_column(names)
            return [names.index(choose(path, names, name)) if name is not None else 0]

        return sum(1 for _ in _rows(path, form, one, tolerant))
    with reading_parquet(path), seekable(path) as source:
        return int(pq.read_metadata(source).num_rows)


def choose(path: Location, names: Sequence[str], wanted: str | None) -> str:
    """The column of sequences: `wanted`, or one with a usual name. Raises CorpusError."""
    if wanted is not None:
        if found := next((n for n in names if wanted in (n, n.strip())), None):
            return found
        raise CorpusError(f"{path} has no column {wanted!r}; it has: {', '.join(names)}")
    if (usual := usual_column(names)) is not None:
        return usual
    raise CorpusError(
        f"{path} has no column 'smiles' or 'sequence'; choose one with --column from: "
        f"{', '.join(names)}"
    )


def usual_column(names: Sequence[str]) -> str | None:
    """The first column with a usual name; None without one."""
    return next(filter(is_usual, names), None)


def text_of(value: object) -> str:
    """A cell as text, without white space around it; "" for an empty one."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return "" if value is None else str(value).strip()


def sequence_of(value: object) -> str:
    """The sequence in a cell or line: its text up to the first white space; see `cut`."""
    words = text_of(value).split(None, 1)
    return cut(words[0]) if words else ""


def _sequence_and_name(line: str) -> list[str]:
    """The sequence, and the rest of the line."""
    words = [*line.strip().split(None, 1), "", ""]
    return [cut(words[0]), words[1]]


def _rows(
    path: Location, form: Format, places: PlacesOf, tolerant: bool
) -> Iterator[tuple[int, list[Any]]]:
    if form.kind == "parquet":
        return _parquet_rows(path, places)
    if form.kind == "excel":
        return sheet_rows(path, places)
    if form.kind == "sdf":
        return sd_rows(path, places, tolerant)
    return csv_rows(path, form.delimiter, places, tolerant)


def _parquet_rows(path: Location, places_of: PlacesOf) -> Iterator[tuple[int, list[Any]]]:
    number = 0
    # without a buffer size, pyarrow reads the whole column of a row group at once
    with (
        reading_parquet(path, lambda: f", after row {number}" if number else ""),
        seekable(path) as source,
        pq.ParquetFile(source, buffer_size=CHUNK_BYTES) as file,
    ):
        names = file.schema_arrow.names
        wanted = [names[place] for place in places_of(names)]
        if double := next((name for name in wanted if names.count(name) > 1), None):
            raise CorpusError(f"{path} has two columns {double!r}; rename one")
        for batch in file.iter_batches(BATCH_ROWS, columns=wanted, use_threads=False):
            columns = [values_of(batch.column(name)) for name in wanted]
            for values in zip(*columns, strict=True):
                number += 1
                yield number, list(values)


@contextmanager
def reading_parquet(path: Location, where: Callable[[], str] = str) -> Iterator[None]:
    """Turn errors in the block into a CorpusError; `where` says how far the reading got."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise CorpusError(f"{path} is not a Parquet file: {error}{where()}") from error


def values_of(column: pa.Array) -> list[Any]:
    """Python values; in texts, bytes that aren't UTF-8 become U+FFFD."""
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        kind = pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()
        return [v and v.decode("utf-8", "replace") for v in column.cast(kind).to_pylist()]
