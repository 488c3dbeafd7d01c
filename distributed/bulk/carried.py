"""The user's own columns of the file that is scored, such as names and IDs, beside its results.

Scorers don't get them. The file is read again at the end, in the same order, and each row is joined
to the result of the same line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq

from sequence_tutor.distributed.bulk.lines import BulkError
from sequence_tutor.distributed.bulk.results import RAW, SCHEMA
from sequence_tutor.policies.files.file_format import format_of
from sequence_tutor.policies.files.packed_file import CHUNK_BYTES, seekable
from sequence_tutor.policies.files.storage import Location, Where
from sequence_tutor.policies.files.table_reader import (
    choose,
    read_table,
    reading_parquet,
    sequence_of,
    values_of,
)

# Prefix for a user's column that has the name of a result's column: "input.reward".
PREFIX = "input."
# Rows read together, and bytes of the user's columns written together.
BATCH_ROWS, PIECE_BYTES = 1024, 1 << 26


class UserColumns:
    """All columns of a file except the one of the sequences.

    schema: their names and types in the result. A text file has one column, `name`, with the rest
    of each line, or none where no line has a rest; columns of Parquet keep their types, those of
    other files are texts. An SD file has `name`, its titles, and its fields.
    """

    def __init__(self, where: Where, column: str | None = None) -> None:
        """Raises CorpusError."""
        self._path, self._column = Location(where), column
        self._form = format_of(self._path, column)
        if self._form.kind == "parquet":
            with reading_parquet(self._path), seekable(self._path) as source:
                fields = list(pq.read_schema(source))
            names = [field.name for field in fields]
            self._place = names.index(choose(self._path, names, column))
        else:
            names, self._place, rows = read_table(self._path, column, tolerant=True)
            if self._form.kind == "text" and not any(rest for _, rest in rows):
                names = names[:1]
            fields = [pa.field(name, pa.string()) for name in names]
        self._kept = [i for i in range(len(fields)) if i != self._place]
        free = free_names([(i, fields[i].name) for i in self._kept])
        self.schema = pa.schema(
            [pa.field(name, fields[i].type) for i, name in zip(self._kept, free, strict=True)]
        )

    def beside(self, results: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The results with these columns after their own, cut into smaller tables where rows are
        large. Raises BulkError where the file has changed since it was scored, CorpusError."""
        batches = self._batches()
        sequences: list[str] = []
        batch = pa.RecordBatch.from_pylist([], self.schema)
        number = 0
        for table in results:
            rest = table
            while len(rest):
                held: list[pa.RecordBatch] = []
                rows = 0
                while rows < len(rest) and sum(part.nbytes for part in held) < PIECE_BYTES:
                    if not sequences:
                        sequences, batch = next(batches, ([], batch))
                    n = min(len(sequences), len(rest) - rows)
                    ours = rest.column("sequence").slice(rows, n).to_pylist()
                    if n == 0 or sequences[:n] != ours:
                        raise BulkError(
                            f"{self._path} has changed since its lines {number + 1} to "
                            f"{number + max(n, 1)} were scored: it has other sequences there now"
                        )
                    held.append(batch.slice(0, n))
                    sequences, batch = sequences[n:], batch.slice(n)
                    rows, number = rows + n, number + n
                yield _joined(rest.slice(0, rows), pa.Table.from_batches(held, self.schema))
                rest = rest.slice(rows)

    def _batches(self) -> Iterator[tuple[list[str], pa.RecordBatch]]:
        """The sequences of some rows, and their other columns."""
        if self._form.kind == "parquet":
            yield from self._parquet_batches()
            return
        _, _, rows = read_table(self._path, self._column, tolerant=True)
        while batch := list(islice(rows, BATCH_ROWS)):
            columns = list(zip(*batch, strict=True))
            arrays = [pa.array(columns[i], pa.string()) for i in self._kept]
            sequences = [sequence_of(text) for text in columns[self._place]]
            yield sequences, pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _parquet_batches(self) -> Iterator[tuple[list[str], pa.RecordBatch]]:
        with (
            reading_parquet(self._path),
            seekable(self._path) as source,
            pq.ParquetFile(source, buffer_size=CHUNK_BYTES) as file,
        ):
            for batch in file.iter_batches(_rows_at_once(file.metadata), use_threads=False):
                sequences = [sequence_of(value) for value in values_of(batch.column(self._place))]
                arrays = [batch.column(i) for i in self._kept]
                yield sequences, pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def _rows_at_once(metadata: pq.FileMetaData) -> int:
    """BATCH_ROWS, or fewer where rows are large, such as fingerprints."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    row_bytes = max((g.total_byte_size / max(g.num_rows, 1) for g in groups), default=1)
    return max(1, min(BATCH_ROWS, int(PIECE_BYTES / max(row_bytes, 1))))


def free_names(columns: Sequence[tuple[int, str]]) -> list[str]:
    """New names for columns (place from 0, name), different from those of a result and from each
    other, also in lower case. A column without a name is called by its place from 1."""
    taken = {name.lower() for name in SCHEMA.names}
    free = []
    for place, name in columns:
        name = name.strip() or f"column {place + 1}"
        while name.lower() in taken or name.lower().startswith(RAW):
            name = PREFIX + name
        taken.add(name.lower())
        free.append(name)
    return free


def _joined(left: pa.Table, right: pa.Table) -> pa.Table:
    """One table with the columns of both."""
    for field, column in zip(right.schema, right.columns, strict=True):
        left = left.append_column(field, column)
    return left
