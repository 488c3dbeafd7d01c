"""Joins all results into one table in the order of the file, once every line is scored."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import PurePosixPath
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sequence_tutor.distributed.bulk.carried import UserColumns
from sequence_tutor.distributed.bulk.lines import BulkError, Range, gaps, merged
from sequence_tutor.distributed.bulk.results import (
    Fragment,
    columns_of,
    fragments,
    in_order,
    read_fragment,
    schema_of,
)
from sequence_tutor.policies.files.storage import Location, Where
from sequence_tutor.policies.files.table_reader import values_of

# Rows that are held in memory and written together.
GROUP_ROWS = 65_536
# How many gaps an error lists.
SHOWN = 3


class Outputs(NamedTuple):
    """The files and directories of one scored file."""

    csv: Location
    """The result as CSV."""
    parquet: Location
    """The result as Parquet."""
    fragments: Location
    """Directory of the results of each batch, of which the result is made."""
    record: Location
    """Directory of the record."""

    @classmethod
    def of(cls, out: Where) -> Outputs:
        """By the name of either result, with or without its ending. Raises BulkError for others."""
        place = Location(out)
        name = PurePosixPath(place.name)
        if name.suffix.lower() not in ("", ".csv", ".parquet"):
            raise BulkError(f"results are written as .csv and .parquet; {place} is named neither")
        endings = (".csv", ".parquet", ".parts", ".record")
        return cls(*(place.with_name(name.stem + ending) for ending in endings))


def assemble(outputs: Outputs, total: int, others: UserColumns | None = None) -> None:
    """Write both tables from the fragments of lines 0 to total - 1, each whole or not at all.

    Columns are the fixed ones, every component of any fragment, empty where another lacks it, and
    the `others` of the file that was scored. The fragments stay. Raises BulkError where lines are
    missing, there are too many, or the file has changed.
    """
    found = fragments(outputs.fragments)
    _check_complete(found, outputs.fragments, total)
    # in the order in which components first occur
    names = in_order(partial(columns_of, outputs.fragments), found)
    schema = schema_of(chain.from_iterable(names))
    with ExitStack() as stack:
        parquet = stack.enter_context(outputs.parquet.writer())
        binary = stack.enter_context(outputs.csv.writer())
        text = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        stack.callback(text.detach)  # flushes it, but leaves `binary` open
        tables = _groups(outputs.fragments, found, schema)
        if others is not None:
            tables = others.beside(tables)
            schema = pa.schema([*schema, *others.schema])
        writer = stack.enter_context(pq.ParquetWriter(parquet, schema, compression="zstd"))
        rows = csv.writer(text)
        rows.writerow(schema.names)
        for table in tables:
            writer.write_table(table, row_group_size=GROUP_ROWS)
            rows.writerows(zip(*map(_cells, table.columns), strict=True))


def _check_complete(found: list[Fragment], directory: Location, total: int) -> None:
    if found and (end := found[-1].lines.end) > total:
        raise BulkError(
            f"{directory / found[-1].name} has results up to line {end}, but the file has {total} "
            "lines: are these the results of another file?"
        )
    missing = gaps(merged(fragment.lines for fragment in found), total)
    if missing:
        shown = ", ".join(_named(r) for r in missing[:SHOWN])
        more = f" and {len(missing) - SHOWN} more gaps" if len(missing) > SHOWN else ""
        count = sum(r.end - r.first for r in missing)
        raise BulkError(
            f"{count} of {total} lines have no result in {directory} yet: {shown}{more}"
        )


def _named(lines: Range) -> str:
    last = f" to {lines.end}" if lines.end - lines.first > 1 else ""
    return f"{lines.first + 1}{last}"


def _groups(directory: Location, found: list[Fragment], schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of all fragments, GROUP_ROWS at a time."""
    empty = schema.empty_table()
    held: list[pa.Table] = []
    rows = 0
    for part in in_order(partial(read_fragment, directory), found):
        held.append(part)
        rows += part.num_rows
        if rows >= GROUP_ROWS:
            table = _joined([empty, *held])
            whole = rows - rows % GROUP_ROWS
            for start in range(0, whole, GROUP_ROWS):
                yield table.slice(start, GROUP_ROWS)
            held, rows = [table.slice(whole)], rows - whole
    if rows:
        yield _joined([empty, *held])


def _joined(tables: list[pa.Table]) -> pa.Table:
    """One table; its columns are in the order of the first table's."""
    return pa.concat_tables(tables, promote_options="default").combine_chunks()


def _cells(column: pa.ChunkedArray) -> list[object]:
    """Values for a CSV: None is an empty cell; reading a float's text gives the same float."""
    if column.type == pa.float32():
        column = pc.cast(column, pa.string())  # as a Python float it would have 17 digits
    values = chain.from_iterable(map(values_of, column.chunks))
    return [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values]
