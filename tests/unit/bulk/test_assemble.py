from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sequence_tutor.distributed.bulk import assemble as module
from sequence_tutor.distributed.bulk.assemble import Outputs, assemble
from sequence_tutor.distributed.bulk.lines import BulkError, batches
from sequence_tutor.distributed.bulk.results import SCHEMA, LineResults, done_ranges, write_fragment
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.rewards.base import Status

MakeResults = Callable[..., LineResults]


@pytest.fixture
def outputs(tmp_path: Path) -> Outputs:
    outputs = Outputs.of(tmp_path / "out.csv")
    outputs.fragments.make()
    return outputs


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


@pytest.mark.parametrize("name", ["a.b.csv", "a.b.parquet", "a.b.PARQUET"])
def test_outputs_of_a_csv_or_parquet_name(name: str):
    parent = Path("some/where")
    endings = (".csv", ".parquet", ".parts", ".record")
    expected = Outputs(*(Location(parent / f"a.b{ending}") for ending in endings))
    assert Outputs.of(parent / name) == expected
    assert Outputs.of(Path("a")).csv == Location("a.csv")
    assert str(Outputs.of("s3://bucket/a?region=here").csv) == "s3://bucket/a.csv?region=here"
    with pytest.raises(BulkError, match="a.txt is named neither"):
        Outputs.of(Path("a.txt"))


def test_csv_and_parquet_hold_every_value_in_order(outputs: Outputs, make_results: MakeResults):
    plain = make_results(0, 3, [Status.OK, Status.FAILED, Status.INVALID])
    scores = replace(
        plain.scores,
        rewards=np.array([0.1 + 0.2, np.nan, -np.inf]),
        errors=["", 'said "no",\r\ntwice', ""],
        raw={"z": np.array([1e22, np.nan, 5e-324])},
    )
    odd = replace(plain, sequences=['C,"N"\n', "", "Ω\r"], scores=scores)
    write_fragment(outputs.fragments, 3, make_results(3, 2, raw=["a", "z"]))
    write_fragment(outputs.fragments, 0, odd)
    write_fragment(outputs.fragments, 5, make_results(5, 1))
    assemble(outputs, 6)
    table = pq.read_table(outputs.parquet.path)
    assert table.schema.names == [*SCHEMA.names, "raw.z", "raw.a"]
    expected = {
        "sequence": ['C,"N"\n', "", "Ω\r", "s3", "s4", "s5"],
        "key": ["k0", "k1", "k2", "k3", "k4", "k5"],
        "reward": [0.1 + 0.2, None, -np.inf, 1.0, 4 / 3, 5 / 3],
        "status": ["ok", "failed", "invalid", "ok", "ok", "ok"],
        "error": ["", 'said "no",\r\ntwice', "", "", "", ""],
        "seconds": [np.float32(0.1)] * 6,
        "raw.z": [1e22, None, 5e-324, 3 / 7, 4 / 7, None],
        "raw.a": [None, None, None, 3 / 7, 4 / 7, None],
    }
    assert table.to_pydict() == expected
    header, *rows = rows_of(outputs.csv.path)
    assert header == list(expected)
    for i, row in enumerate(rows):
        cells = dict(zip(header, row, strict=True))
        for name, values in expected.items():
            value = values[i]
            if value is None or isinstance(value, str):
                assert cells[name] == (value or "")
            else:
                assert type(value)(cells[name]) == value, name
    assert rows[0][header.index("seconds")] == "0.1"
    assert sorted(p.name for p in outputs.csv.path.parent.iterdir()) == [
        "out.csv",
        "out.parquet",
        "out.parts",
    ]


@pytest.mark.parametrize(
    ("done", "message"),
    [
        ([], "10 of 10 lines have no result in .*out.parts yet: 1 to 10$"),
        ([(0, 3), (4, 6)], "1 of 10 lines have no result in .*: 4$"),
        ([(1, 1), (3, 1), (5, 1), (7, 1)], ": 1, 3, 5 and 2 more gaps$"),
        ([(0, 8)], ": 9 to 10$"),
        ([(0, 8), (8, 3)], "lines-000000000008-000003.parquet has results up to line 11, but"),
    ],
)
def test_missing_or_surplus_lines_raise(
    outputs: Outputs, make_results: MakeResults, done: list[tuple[int, int]], message: str
):
    for first, n in done:
        write_fragment(outputs.fragments, first, make_results(first, n))
    with pytest.raises(BulkError, match=message):
        assemble(outputs, 10)
    assert not outputs.csv.exists() and not outputs.parquet.exists()


def test_a_resumed_file_has_each_line_once(outputs: Outputs, make_results: MakeResults):
    """Stopped with gaps and resumed with other batches: each line is there once, in order."""
    lines = [f"s{i}" for i in range(1000)]

    def score(size: int, keep: Callable[[int], bool]) -> None:
        found = batches(lines, lambda: size, done_ranges(outputs.fragments))
        for number, batch in enumerate(found):
            if keep(number):
                judged = make_results(batch.first, len(batch.sequences))
                assert judged.sequences == batch.sequences
                write_fragment(outputs.fragments, batch.first, judged)

    score(7, lambda number: number % 3 == 1)
    score(5, lambda number: number % 2 == 0)
    with pytest.raises(BulkError, match="more gaps"):
        assemble(outputs, 1000)
    score(16, lambda number: True)
    assemble(outputs, 1000)
    assert pq.read_table(outputs.parquet.path).column("sequence").to_pylist() == lines
    assert [row[0] for row in rows_of(outputs.csv.path)[1:]] == lines


def test_assembling_holds_less_than_half_of_the_table(
    outputs: Outputs, make_results: MakeResults, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "GROUP_ROWS", 1000)
    # many times the memory limit; values that don't compress
    sizes, first = [1, 999, 300, 300, 300, 300, 2500] + [500] * 200, 0
    long = "C" * 200
    for n in sizes:
        judged = make_results(first, n)
        sequences = [f"{i}{long}" for i in range(first, first + n)]
        write_fragment(outputs.fragments, first, replace(judged, sequences=sequences))
        first += n
    default = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(default)
    pa.set_memory_pool(pool)
    try:
        assemble(outputs, first)
        held = pool.max_memory()
        whole = pq.read_table(outputs.parquet.path).nbytes
    finally:
        pa.set_memory_pool(default)
    with pq.ParquetFile(outputs.parquet.path) as file:
        groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert groups == [1000] * (first // 1000) + [700]
    assert pq.read_table(outputs.parquet.path).column("key").to_pylist() == [
        f"k{i}" for i in range(first)
    ]
    assert held < whole / 2


def test_a_broken_fragment_leaves_no_result_files(outputs: Outputs, make_results: MakeResults):
    write_fragment(outputs.fragments, 0, make_results(0, 50))
    broken = write_fragment(outputs.fragments, 50, make_results(50, 50, raw=["a"])).path
    content = bytearray(broken.read_bytes())
    content[4:600] = bytes(596)  # the end, which lists the columns, stays as it was
    broken.write_bytes(content)
    with pytest.raises(BulkError, match=f"broken file of results {broken}"):
        assemble(outputs, 100)
    assert list(outputs.csv.path.parent.iterdir()) == [outputs.fragments.path]


def test_a_file_without_lines_has_a_header_only(outputs: Outputs):
    assemble(outputs, 0)
    assert rows_of(outputs.csv.path) == [SCHEMA.names]
    assert pq.read_table(outputs.parquet.path).schema == SCHEMA
