"""Marks that a person has given to sequences: the CSV in which they are kept, read and written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

# The least and the greatest mark.
WORST, BEST = 1, 5
ALLOWED = f"a whole number from {WORST}, the worst, to {BEST}, the best"
COLUMNS = ("sequence", "mark", "time")


@dataclass(frozen=True)
class Rating:
    """One mark."""

    sequence: str
    """The key of the sequence."""
    mark: int
    """WORST to BEST."""
    time: str = ""
    """When it was given, UTC, as in "2026-01-31T12:00:00+00:00"; "" where that isn't known."""
    line: int = 0
    """Line of the file that it was read from, from 1; 0 for none."""


def mark_of(text: str) -> int | None:
    """The mark that a text is; None for a text that isn't one."""
    text = text.strip()
    return int(text) if text in map(str, range(WORST, BEST + 1)) else None


def read_ratings(content: bytes) -> list[Rating]:
    """The marks in a CSV with the columns "sequence" and "mark", and perhaps "time"; others are
    ignored, and so are lines without a mark. Commas, semicolons or tabs divide the columns.

    Raises ValueError with one sentence, which names the line but not the file.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} isn't UTF-8: save the file as CSV in UTF-8") from error
    head = text.partition("\n")[0]
    divider = next((one for one in ",;\t" if one in head), ",")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=divider, strict=True)
    found: list[Rating] = []
    try:
        names = [name.strip().lower() for name in next(rows, [])]
        for name in COLUMNS[:2]:
            if names.count(name) != 1:
                raise ValueError(
                    f"line 1 must name the columns, among them one {name!r}: sequence,mark"
                )
        for row in rows:
            if any(cell.strip() for cell in row):
                found += _rating(dict(zip(names, row, strict=False)), rows.line_num)
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num} is no CSV: {error}") from error
    return found


def _rating(cells: dict[str, str], line: int) -> list[Rating]:
    """The mark in a line, if there is one."""
    sequence, text = cells["sequence"].strip(), cells.get("mark", "").strip()
    if not text:
        return []
    if not sequence:
        raise ValueError(f"line {line} has a mark and no sequence")
    if (mark := mark_of(text)) is None:
        raise ValueError(f"line {line}: mark {text[:20]!r} must be {ALLOWED}, or empty for no mark")
    return [Rating(sequence, mark, cells.get("time", "").strip(), line)]


def ratings_csv(ratings: Iterable[Rating]) -> str:
    """The text of a file that `read_ratings` reads."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows((one.sequence, one.mark, one.time) for one in ratings)
    return text.getvalue()


def unequal_pairs(marks: Iterable[int]) -> int:
    """The number of pairs of marks of which one is higher."""
    known = list(marks)
    same = sum(known.count(mark) * (known.count(mark) - 1) // 2 for mark in set(known))
    return len(known) * (len(known) - 1) // 2 - same
