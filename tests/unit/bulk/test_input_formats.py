"""Each format, packed in each way, gives the same rows as the same data in a CSV."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rdkit import Chem

from sequence_tutor.distributed.bulk.carried import UserColumns
from sequence_tutor.distributed.bulk.lines import count_lines, read_lines
from sequence_tutor.distributed.generating.data import DataProposer
from sequence_tutor.distributed.run_directory.warm_start import read_scored
from sequence_tutor.distributed.search_config import DataConfig
from sequence_tutor.policies.files.corpus import read_corpus
from sequence_tutor.policies.files.table_reader import read_table
from sequence_tutor.rewards.domains import domain_of

HEADER = ["sequence", "name", "reward", "note"]
ROWS = [
    ["CC(=O)Oc1ccccc1C(=O)O", "aspirin", "-7.5", "two\nlines, and a comma"],
    ["C[C@H](N)C(=O)O", "L-alanine 1", "0.25", ""],
    ["CCO", "", "3", "Ω"],
    ["[Cl-].[Na+]", "salt", "-1", 'a "quote"'],
]


def as_csv(delimiter: str) -> Callable[[], bytes]:
    def write() -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=delimiter).writerows([HEADER, *ROWS])
        return text.getvalue().encode()

    return write


def as_xlsx() -> bytes:
    book, binary = openpyxl.Workbook(), io.BytesIO()
    for row in [HEADER, *ROWS]:
        # texts, and numbers as Excel has them
        book.active.append([float(c) if c in ("-7.5", "0.25") else c or None for c in row])
    book.create_sheet("notes").append(["not read"])
    book.save(binary)
    return binary.getvalue()


def as_sdf() -> bytes:
    text = io.StringIO()
    writer = Chem.SDWriter(text)
    for smiles, name, reward, note in ROWS:
        mol = Chem.MolFromSmiles(smiles)
        mol.SetProp("_Name", name)
        mol.SetProp("reward", reward)
        if note:
            mol.SetProp("note", note)
        writer.write(mol)
    writer.close()
    return text.getvalue().encode()


def as_parquet() -> bytes:
    sink = pa.BufferOutputStream()
    columns = zip(*ROWS, strict=True)
    pq.write_table(pa.table(dict(zip(HEADER, map(list, columns), strict=True))), sink)
    return sink.getvalue().to_pybytes()


FORMATS: dict[str, Callable[[], bytes]] = {
    ".csv": as_csv(","),
    ".tsv": as_csv("\t"),
    ".semicolon.csv": as_csv(";"),
    ".pipe.csv": as_csv("|"),
    ".xlsx": as_xlsx,
    ".sdf": as_sdf,
    ".parquet": as_parquet,
}


def in_zip(name: str, content: bytes) -> bytes:
    binary = io.BytesIO()
    with zipfile.ZipFile(binary, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return binary.getvalue()


def written(directory: Path, form: str, packing: str = "") -> Path:
    content = FORMATS[form]()
    packed = {
        "": content,
        ".gz": gzip.compress(content),
        ".bz2": bz2.compress(content),
        ".xz": lzma.compress(content),
        ".zip": in_zip(f"inner{form}", content),
    }[packing]
    path = directory / (f"mols{packing}" if packing == ".zip" else f"mols{form}{packing}")
    path.write_bytes(packed)
    return path


@pytest.mark.parametrize("packing", ["", ".gz", ".bz2", ".xz", ".zip"])
@pytest.mark.parametrize("form", FORMATS)
def test_each_format_gives_what_the_csv_gives(tmp_path: Path, form: str, packing: str):
    path = written(tmp_path, form, packing)
    assert list(read_lines(path)) == [row[0] for row in ROWS]
    assert count_lines(path) == len(ROWS)
    if form != ".parquet":
        header, place, rows = read_table(path)
        assert (header, place, list(rows)) == (HEADER, 0, ROWS)
    results = pa.table({"sequence": [row[0] for row in ROWS]})
    [carried] = UserColumns(path).beside([results])
    # "reward" is one of the result's own names
    assert carried.schema.names == ["sequence", "name", "input.reward", "note"]
    assert [list(row.values()) for row in carried.to_pylist()] == ROWS


@pytest.mark.parametrize("form", FORMATS)
def test_each_command_reads_each_format(tmp_path: Path, form: str):
    path = written(tmp_path, form, ".gz")
    corpus = read_corpus(path, lambda text: "a salt" if "." in text else None)
    assert corpus.sequences == [row[0] for row in ROWS[:3]] and corpus.broken_count == 1
    sequences, rewards, _ = read_scored(path)
    assert sequences == [row[0] for row in ROWS]
    assert rewards.tolist() == [float(row[2]) for row in ROWS]
    proposer = DataProposer(DataConfig(file=str(path)), domain_of("smiles"))
    assert proposer._sequences == [row[0] for row in ROWS]


@pytest.mark.parametrize("form", [".csv", ".xlsx", ".sdf", ".parquet"])
def test_any_column_can_have_the_sequences(tmp_path: Path, form: str):
    path = written(tmp_path, form)
    assert list(read_lines(path, "reward")) == [row[2] for row in ROWS]
    if form == ".sdf":  # the structure stays beside the field
        assert UserColumns(path, "reward").schema.names == ["input.sequence", "name", "note"]
    with pytest.raises(ValueError, match="has no column 'mol'; it has: sequence, name, reward"):
        read_lines(path, "mol")
    if form != ".parquet":  # whose rows are counted without a look at its columns
        with pytest.raises(ValueError, match="has no column 'mol'"):
            count_lines(path, "mol")
