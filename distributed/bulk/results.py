"""Results so far: one small Parquet file, a fragment, for each batch of lines.

The name of a fragment has its lines, counted from 0, so a restart needs only the list of names to
know which lines are left. A fragment is whole or it isn't there, and is never changed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sequence_tutor.distributed.bulk.lines import BulkError, Range, merged
from sequence_tutor.distributed.replay.claims import LOST
from sequence_tutor.policies.files.storage import Location, Where
from sequence_tutor.rewards.base import Scores, Status

# The columns of every result, in this order; a column `raw.NAME` of each component follows.
SCHEMA = pa.schema(
    [
        ("sequence", pa.string()),
        ("key", pa.string()),
        ("reward", pa.float64()),
        ("status", pa.string()),
        ("error", pa.string()),
        ("seconds", pa.float32()),
    ]
)
RAW = "raw."
# Error text of lines without a score, as each scorer died while it scored them.
GIVEN_UP = "the scorer itself died each time it looked at this sequence"

# Threads that read fragments, and fragments that are read ahead.
READERS, READ_AHEAD = 4, 64

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class LineResults:
    """Results of B lines of a file."""

    sequences: list[str]
    """B sequences."""
    keys: list[str]
    """B keys, empty where there is none."""
    scores: Scores
    """What became of the B sequences."""

    def __len__(self) -> int:
        return len(self.sequences)

    def to_table(self) -> pa.Table:
        """Rows for Parquet; NaN becomes null. Raises ArrowInvalid where lengths differ."""
        scores = self.scores
        # an error text of a reward may have characters that UTF-8 lacks
        errors = [e.encode("utf-8", "replace").decode() for e in scores.errors]
        assert scores.seconds is not None
        columns: dict[str, list[str] | np.ndarray] = {
            "sequence": self.sequences,
            "key": self.keys,
            "reward": scores.rewards,
            "status": [Status(s).name.lower() for s in scores.status],
            "error": errors,
            "seconds": scores.seconds,
        }
        arrays = {f.name: _array(columns[f.name], f.type) for f in SCHEMA}
        raw = {f"{RAW}{name}": _array(values, pa.float64()) for name, values in scores.raw.items()}
        return pa.table(arrays | raw)


class Fragment(NamedTuple):
    """The lines of a file of results, as in its name."""

    first: int
    """First line, from 0."""
    n: int
    """How many lines."""

    @classmethod
    def parse(cls, name: str) -> Fragment | None:
        match = re.fullmatch(r"lines-(\d{12})-(\d{6})\.parquet", name)
        return cls(int(match[1]), int(match[2])) if match and int(match[2]) else None

    @property
    def name(self) -> str:
        return f"lines-{self.first:012d}-{self.n:06d}.parquet"

    @property
    def lines(self) -> Range:
        return Range(self.first, self.first + self.n)


def write_fragment(directory: Where, first: int, results: LineResults) -> Location:
    """Write the results of a batch, whose first line is `first`, whole or not at all.

    The directory must be there: a machine without it has to fail, not to write elsewhere. Raises
    OSError, and BulkError for a batch without lines or with too many.
    """
    fragment = Fragment(first, len(results))
    if not 0 < fragment.n < 10**6 or not 0 <= first < 10**12:
        raise BulkError(f"{len(results)} lines from {first} can't be one file of results")
    sink = pa.BufferOutputStream()
    pq.write_table(results.to_table(), sink, compression="zstd")
    path = Location(directory) / fragment.name
    path.write(sink.getvalue())
    return path


def fragments(directory: Location) -> list[Fragment]:
    """Fragments in the order of their lines, without temporary files; none without a directory.

    A fragment inside a larger one is left out: a scorer may die after it has written a batch and
    before it has reported, and then the halves of the batch are scored and written again. Raises
    BulkError for a name without lines, and for other fragments that have a line in common.
    """
    found: list[Fragment] = []
    for name in directory.names():
        if (fragment := Fragment.parse(name)) is not None:
            found.append(fragment)
        elif name.startswith("lines-") and name.endswith(".parquet"):
            raise BulkError(f"{directory / name} isn't a file of results; delete it")
    kept: list[Fragment] = []
    for fragment in sorted(found, key=lambda f: (f.first, -f.n)):
        if not kept or fragment.first >= kept[-1].lines.end:
            kept.append(fragment)
        elif fragment.lines.end > kept[-1].lines.end:
            raise BulkError(
                f"{directory / kept[-1].name} and {fragment.name} both have results of line "
                f"{fragment.first + 1}; delete one, and its lines are scored again"
            )
    return kept


def done_ranges(directory: Location) -> list[Range]:
    """The lines that have results, sorted, with adjacent ranges joined; reads the names alone.

    Raises BulkError as `fragments` does.
    """
    return merged(fragment.lines for fragment in fragments(directory))


def read_fragment(
    directory: Location, fragment: Fragment, columns: list[str] | None = None
) -> pa.Table:
    """The rows of a fragment. Raises BulkError, naming the file, where it isn't whole."""
    with _opened(directory, fragment) as file:
        return file.read(columns, use_threads=False)


def columns_of(directory: Location, fragment: Fragment) -> list[str]:
    """The names of its columns. Checks rows and types, as `read_fragment` does."""
    with _opened(directory, fragment) as file:
        return list(file.schema_arrow.names)


def schema_of(names: Iterable[str]) -> pa.Schema:
    """The fixed columns, then those of `names` that are components, in that order."""
    raw = [name for name in dict.fromkeys(names) if name.startswith(RAW)]
    return pa.schema([*SCHEMA, *((name, pa.float64()) for name in raw)])


@contextmanager
def _opened(directory: Location, fragment: Fragment) -> Iterator[pq.ParquetFile]:
    """Opens a fragment. Raises errors of the block as BulkError with the name of the file."""
    path = directory / fragment.name
    advice = "delete it, and its lines are scored again"
    try:
        with path.open() as source, pq.ParquetFile(source) as file:
            schema = file.schema_arrow
            if file.metadata.num_rows != fragment.n or schema != schema_of(schema.names):
                raise BulkError(
                    f"{path} doesn't hold the {fragment.n} results of its name; {advice}"
                )
            yield file
    except (OSError, pa.ArrowException) as error:
        raise BulkError(f"broken file of results {path}: {error}; {advice}") from error


def in_order(read: Callable[[Fragment], Answer], found: Sequence[Fragment]) -> Iterator[Answer]:
    """What `read` returns for each, in order; threads read ahead, as opening a file takes long."""
    with ThreadPoolExecutor(READERS) as readers:
        for start in range(0, len(found), READ_AHEAD):
            yield from readers.map(read, found[start : start + READ_AHEAD])


def tallies(directory: Location) -> Counter[Status]:
    """How many lines are done, by status. Raises BulkError for a fragment that can't be read."""
    counts: Counter[Status] = Counter()
    read = partial(read_fragment, directory, columns=["status"])
    for table in in_order(read, fragments(directory)):
        names = Counter(table.column("status").to_pylist())
        counts.update({Status[name.upper()]: n for name, n in names.items()})
    return counts


def forget(directory: Location, failures: bool) -> None:
    """Delete the fragments that have a line to be scored again: with `failures` a line that failed,
    else a line that was given up because scorers died. Raises BulkError for a fragment that can't
    be read."""

    def to_be_tried_again(fragment: Fragment) -> bool:
        table = read_fragment(directory, fragment, ["status", "error"])
        if failures:
            judged = {Status.OK.name.lower(), Status.INVALID.name.lower()}
            return not judged.issuperset(table.column("status").to_pylist())
        return any(text.startswith((GIVEN_UP, LOST)) for text in table.column("error").to_pylist())

    # smaller fragments inside a deleted one are listed once it is gone
    while found := list(filter(to_be_tried_again, fragments(directory))):
        for fragment in found:
            (directory / fragment.name).remove()


def _array(values: list[str] | np.ndarray, kind: pa.DataType) -> pa.Array:
    return pa.array(values, kind, from_pandas=True)
