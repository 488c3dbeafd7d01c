from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sequence_tutor.distributed.bulk import carried as module
from sequence_tutor.distributed.bulk.assemble import Outputs, assemble
from sequence_tutor.distributed.bulk.carried import UserColumns, free_names
from sequence_tutor.distributed.bulk.lines import BulkError, batches, read_lines
from sequence_tutor.distributed.bulk.results import SCHEMA, LineResults, write_fragment

MakeResults = Callable[..., LineResults]


@pytest.fixture
def score(tmp_path: Path, make_results: MakeResults) -> Iterator[Callable[..., pa.Table]]:
    """Scores a file in batches of three; returns the results, equal in both files."""

    def run(path: Path, column: str | None = None) -> pa.Table:
        outputs = Outputs.of(tmp_path / "out.csv")
        outputs.fragments.remove()
        outputs.fragments.make()
        total = 0
        for batch in batches(read_lines(path, column), lambda: 3):
            judged = make_results(batch.first, len(batch.sequences), raw=["a"])
            judged = replace(judged, sequences=batch.sequences)
            write_fragment(outputs.fragments, batch.first, judged)
            total += len(batch.sequences)
        assemble(outputs, total, UserColumns(path, column))
        table = pq.read_table(outputs.parquet.path)
        with outputs.csv.path.open(newline="", encoding="utf-8") as stream:
            header, *rows = csv.reader(stream)
        assert header == table.schema.names and len(rows) == len(table)
        assert header[:7] == [*SCHEMA.names, "raw.a"]
        for name, values in zip(header, zip(*rows, strict=True), strict=True):
            if table.column(name).type == pa.string():
                assert list(values) == table.column(name).to_pylist()
        return table.select(["key", "sequence", *table.schema.names[7:]])

    yield run


def test_text_after_the_sequence_becomes_the_name_column(
    tmp_path: Path, score: Callable[..., pa.Table]
):
    path = tmp_path / "a.smi"
    path.write_text(
        "CCO ethyl  alcohol \n\nCCN\n CCC\t1\tpropane\r\n" + "x" * 9 + " caf\u00e9\nC 5\n"
    )
    assert score(path).to_pydict() == {
        "key": [f"k{i}" for i in range(6)],
        "sequence": ["CCO", "", "CCN", "CCC", "xxxxxxxxx", "C"],
        "name": ["ethyl  alcohol", "", "", "1\tpropane", "caf\u00e9", "5"],
    }
    path.write_text("CCO\n\nCCN\n")
    assert score(path).schema.names == ["key", "sequence"]


def test_all_columns_of_a_csv_are_carried_along(tmp_path: Path, score: Callable[..., pa.Table]):
    path = tmp_path / "a.csv"
    path.write_text(
        ",id,SMILES,Reward,raw.x,id,key,input.key,note\n"
        '0,A,CCO |$;$| x,1.50,,B,me,you,"two\nlines, ""quoted"""\n\n'
        "1,C,CCN\n"
        "2,Ω,,,,,,,\n"
    )
    assert score(path).to_pydict() == {
        "key": ["k0", "k1", "k2"],
        "sequence": ["CCO", "CCN", ""],
        "column 1": ["0", "1", "2"],
        "id": ["A", "C", "Ω"],
        "input.Reward": ["1.50", "", ""],
        "input.raw.x": ["", "", ""],
        "input.id": ["B", "", ""],
        "input.key": ["me", "", ""],
        "input.input.key": ["you", "", ""],
        "note": ['two\nlines, "quoted"', "", ""],
    }


def test_columns_of_a_text_file_read_with_a_header(tmp_path: Path, score: Callable[..., pa.Table]):
    path = tmp_path / "a.txt"
    path.write_text("id\tSMILES\nC\tc1ccccc1O\nN\tCCO\n")
    assert score(path, "SMILES").to_pydict() == {
        "key": ["k0", "k1"],
        "sequence": ["c1ccccc1O", "CCO"],
        "id": ["C", "N"],
    }


def test_parquet_columns_keep_their_types(tmp_path: Path, score: Callable[..., pa.Table]):
    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "n": pa.array([1, None, 3], pa.int16()),
            "smiles": ["CCO x", None, "N"],
            "reward": pa.array([0.1, 0.2, None], pa.float32()),
            "when": pa.array([datetime(2020, 1, 2)] * 3),
            "bits": pa.array([[1, 0], [], None], pa.list_(pa.int8())),
            "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
            "raw": pa.array([b"x\xff", b"", None]),
        }
    )
    pq.write_table(table, path)
    found = score(path)
    assert found.column("sequence").to_pylist() == ["CCO", "", "N"]
    names = ["n", "input.reward", "when", "bits", "kind", "raw"]
    assert found.schema.names == ["key", "sequence", *names]
    for name in names:
        own = table.column(name.removeprefix("input."))
        assert found.column(name).to_pylist() == own.to_pylist()
        assert name == "kind" or found.schema.field(name).type == own.type


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_user_columns_stay_aligned_with_results(
    tmp_path: Path, score: Callable[..., pa.Table], monkeypatch: pytest.MonkeyPatch, suffix: str
):
    monkeypatch.setattr(module, "BATCH_ROWS", 7)
    monkeypatch.setattr(module, "PIECE_BYTES", 100)
    path, n = tmp_path / f"a{suffix}", 1000
    if suffix == ".csv":
        rows = [f"name {i},C{'C' * (i % 5)}" + "\n" * (1 + i % 3) for i in range(n)]
        path.write_text("id,smiles\n" + "".join(rows))
    else:
        names = [f"name {i}" for i in range(n)]
        texts = ["C" + "C" * (i % 5) for i in range(n)]
        pq.write_table(pa.table({"id": names, "smiles": texts}), path, row_group_size=64)
    found = score(path)
    assert found.column("id").to_pylist() == [f"name {i}" for i in range(n)]
    assert found.column("key").to_pylist() == [f"k{i}" for i in range(n)]


@pytest.mark.parametrize("after", ["CCO a\nCCC b\n", "CCO a\n", ""])
def test_a_file_changed_since_scoring_raises(tmp_path: Path, make_results: MakeResults, after: str):
    path, outputs = tmp_path / "a.smi", Outputs.of(tmp_path / "out.csv")
    path.write_text("CCO a\nCCN b\n")
    outputs.fragments.make()
    judged = replace(make_results(0, 2), sequences=["CCO", "CCN"])
    write_fragment(outputs.fragments, 0, judged)
    path.write_text(after)
    with pytest.raises(BulkError, match=f"{path} has changed since"):
        assemble(outputs, 2, UserColumns(path))
    assert not outputs.csv.exists() and not outputs.parquet.exists()


def test_user_columns_with_names_of_result_columns_get_a_prefix():
    given = ["a", "A", " a ", "sequence", "raw.a", "RAW.B", "", "input.sequence", "error"]
    assert free_names(list(enumerate(given))) == [
        "a",
        "input.A",
        "input.input.a",
        "input.sequence",
        "input.raw.a",
        "input.RAW.B",
        "column 7",
        "input.input.sequence",
        "input.error",
    ]


def test_wide_rows_are_written_in_pieces(
    tmp_path: Path, make_results: MakeResults, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "PIECE_BYTES", 1 << 20)
    path, outputs, n = tmp_path / "a.parquet", Outputs.of(tmp_path / "out.csv"), 100
    random = np.random.default_rng(0)
    wide = pa.array(list(random.random((n, 10_000))), pa.list_(pa.float64()))
    assert wide.nbytes > 7 << 20
    pq.write_table(pa.table({"smiles": ["C"] * n, "wide": wide}), path)
    outputs.fragments.make()
    write_fragment(outputs.fragments, 0, replace(make_results(0, n), sequences=["C"] * n))
    results = pq.read_table(outputs.fragments.path)
    pieces = list(UserColumns(path).beside([results]))
    assert max(piece.nbytes for piece in pieces) < 3 << 20
    assert pa.concat_tables(pieces).column("wide").to_pylist() == wide.to_pylist()
