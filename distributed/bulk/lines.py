"""The file to be scored, cut into batches of lines that aren't done yet.

A line gives one row of the result: it is a line of text, blank or not, or a row of a table. Lines
are numbered from 0 here, and from 1 in messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import NamedTuple

from sequence_tutor.policies.files.storage import Where
from sequence_tutor.policies.files.table_reader import count_rows, read_sequences

# Most characters of a batch of several lines, so that very long lines don't fill the memory.
LONGEST_BATCH = 1 << 22


class BulkError(ValueError):
    """Results, or their directory, can't be used; the text names the file and says what to do."""


class Range(NamedTuple):
    """Lines first to end - 1."""

    first: int
    """First line."""
    end: int
    """One more than the last line."""


@dataclass(frozen=True)
class Batch:
    """Consecutive lines for a scorer."""

    first: int
    """Number of the first line."""
    sequences: list[str]
    """The sequence of each line."""


def read_lines(path: Where, column: str | None = None) -> Iterator[str]:
    """The sequence of each line, "" where a line has none; the header of a table isn't a line.

    Text, CSV (either may be compressed) or Parquet, by the file's name. A line that is too long, or
    has bytes that aren't characters, gives an invalid sequence; other lines aren't affected. Raises
    CorpusError: at once for a file that can't be read, later for a broken line when it's reached.
    """
    lines = (text for _, text in read_sequences(path, column, tolerant=True))
    return chain(list(islice(lines, 1)), lines)


def count_lines(path: Where, column: str | None = None) -> int:
    """How many lines `read_lines` gives. Raises CorpusError, in a CSV for any broken row."""
    return count_rows(path, column, tolerant=True)


def batches(
    lines: Iterable[str], size: Callable[[], int], done: Sequence[Range] = ()
) -> Iterator[Batch]:
    """Batches of the lines that aren't done, in the order of the file.

    `size` is called for each batch, when its first line has been read. A batch is smaller at the
    end of the file, before lines that are done, and where lines are very long. `done` is sorted,
    without overlaps.
    """
    ahead = iter(done)
    skip = next(ahead, None)
    held: list[str] = []
    first = wanted = characters_left = 0
    for number, text in enumerate(lines):
        if skip and number >= skip.end:
            skip = next(ahead, None)
        is_done = skip is not None and skip.first <= number
        if held and (is_done or len(text) > characters_left):
            yield Batch(first, held)
            held = []
        if is_done:
            continue
        if not held:
            first, wanted, characters_left = number, size(), LONGEST_BATCH
        held.append(text)
        characters_left -= len(text)
        if len(held) >= wanted:
            yield Batch(first, held)
            held = []
    if held:
        yield Batch(first, held)


def merged(ranges: Iterable[Range]) -> list[Range]:
    """Sorted ranges without overlaps, with adjacent ones joined."""
    whole: list[Range] = []
    for r in ranges:
        if whole and whole[-1].end == r.first:
            whole[-1] = Range(whole[-1].first, r.end)
        else:
            whole.append(r)
    return whole


def gaps(done: Sequence[Range], total: int) -> list[Range]:
    """Ranges of lines 0 to total - 1 that aren't in the sorted `done`."""
    ends = [0, *(r.end for r in done)]
    firsts = [*(r.first for r in done), total]
    return [Range(a, b) for a, b in zip(ends, firsts, strict=True) if a < b]
