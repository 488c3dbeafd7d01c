"""Rows of a CSV or similar table, checked: a stray quote or delimiter raises, with its line.

An unnoticed stray quote would merge all rows up to the next quote into one field, and so lose
them. A quoted field may have line breaks; a row may have fewer fields than there are columns.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence

from sequence_tutor.policies.files.packed_file import CorpusError
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.files.text_lines import LONGEST_LINE, text_lines

# Names of all columns -> indices of the columns to read.
PlacesOf = Callable[[list[str]], Sequence[int]]


def csv_rows(
    path: Location, delimiter: str, places_of: PlacesOf, tolerant: bool
) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number from 1, the values of the columns to read) of each row.

    The first of `places_of` is the column of sequences; a missing field is "". A delimiter " "
    stands for any white space. Raises CorpusError.
    """
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
    record = _Record(text_lines(path, tolerant))
    header: list[str] | None = None
    places: Sequence[int] = []
    try:
        for row in _split(record, delimiter):
            if row and header is None:
                header, places = row, places_of(row)
            elif row and header is not None:
                _check_row(path, record, row, header, places[0], delimiter)
                yield record.last, [row[i] if i < len(row) else "" for i in places]
            record.end()
    except csv.Error as error:
        opened = _open_quote(record.lines, delimiter)
        if opened is None:
            text = f"{error}, in the row that begins at line {record.first}"
        else:
            text = (
                f"the quoted field that opens at line {record.first + opened} isn't closed "
                f"correctly ({error}), in the row that begins at line {record.first}; remove the "
                "stray quote, or write two quotes for one that belongs to the text"
            )
        raise CorpusError(f"{path} can't be read as text: {text}") from error
    if header is None:
        places_of([])


class _Record:
    """Passes lines on and keeps those of the current row: `lines`, from line number `first`."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.lines: list[str] = []
        self.first = 1

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.lines.append(line)
            yield line

    def end(self) -> None:
        """End the current row: the next line belongs to another one."""
        self.first += len(self.lines)
        self.lines.clear()

    @property
    def last(self) -> int:
        """Number of the current row's last line."""
        return self.first + len(self.lines) - 1


def _split(record: _Record, delimiter: str) -> Iterator[list[str]]:
    if delimiter != " ":
        yield from csv.reader(record, delimiter=delimiter, strict=True)
        return
    columns = 0
    for line in record:  # the last column may contain spaces
        row = line.strip().split(None, columns - 1) if columns else line.split()
        columns = columns or len(row)
        yield row


def _check_row(
    path: Location,
    record: _Record,
    row: list[str],
    header: list[str],
    place: int,
    delimiter: str,
) -> None:
    """Raise CorpusError for a row with too many fields, or one into which a stray quote has
    probably merged other rows. A row with too few fields is accepted."""
    if len(row) > len(header) and any(field.strip() for field in row[len(header) :]):
        raise CorpusError(
            f"{path} can't be read as a table: the row at line {record.first} has {len(row)} "
            f"fields, but there are {len(header)} columns; a field that has {delimiter!r} in it "
            "needs quotes"
        )
    if len(record.lines) == 1:
        return
    like_rows = all(_is_like_row(line, len(header), place, delimiter) for line in record.lines[1:])
    if like_rows or len(row) < len(header):
        opened = _first_quote_over_lines(record.lines, delimiter)
        raise CorpusError(
            f"{path} can't be read as a table: the quote that opens at line "
            f"{record.first + opened} takes in what seem to be separate rows, up to line "
            f"{record.last}; remove the stray quote, or the line breaks within the field"
        )


def _is_like_row(line: str, columns: int, place: int, delimiter: str) -> bool:
    """Whether a line looks like a row: prose has a space after a comma, such tables have none."""
    fields = line.replace('"', "").split(delimiter)
    prose = any(field[:1].isspace() for field in fields[1:] if field.strip())
    return len(fields) == columns and len(fields[place].split()) == 1 and not prose


def _quotes(lines: list[str], delimiter: str) -> Iterator[tuple[int, int | None]]:
    """Yield (line where a quoted field opens, line where it closes or None), counted from 0."""
    opened: int | None = None
    for number, line in enumerate(lines):
        i, at_start = 0, opened is None
        while i < len(line):
            character = line[i]
            if opened is not None and character == '"':
                if line[i + 1 : i + 2] == '"':
                    i += 1
                else:
                    yield opened, number
                    opened = None
            elif opened is None and character == '"' and at_start:
                opened = number
            at_start = character == delimiter
            i += 1
    if opened is not None:
        yield opened, None


def _open_quote(lines: list[str], delimiter: str) -> int | None:
    """Line on which the last quoted field opens, at which the row breaks off; None without one."""
    return next((opened for opened, _ in reversed([*_quotes(lines, delimiter)])), None)


def _first_quote_over_lines(lines: list[str], delimiter: str) -> int:
    quotes = _quotes(lines, delimiter)
    return next((opened for opened, closed in quotes if closed != opened), 0)
