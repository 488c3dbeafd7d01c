from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sequence_tutor.policies.files.corpus import CorpusError, read_corpus


def check(text: str) -> str | None:
    return "holds an X" if "X" in text else None


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_names_and_blank_lines_of_plain_text_are_skipped(tmp_path: Path):
    path = write(tmp_path / "a.smi", "CC ethane\n\nCO\tmethanol\r\nN")
    assert read_corpus(path, check).sequences == ["CC", "CO", "N"]


def test_broken_lines_are_counted_and_numbered(tmp_path: Path):
    path = write(tmp_path / "a.smi", "CC\n\n" + "".join(f"X{i}\n" for i in range(7)) + "N\n")
    corpus = read_corpus(path, check)
    assert corpus.sequences == ["CC", "N"] and corpus.broken_count == 7
    assert corpus.broken[0] == "line 3: 'X0': holds an X" and len(corpus.broken) == 5
    assert "7 unusable lines" in corpus.complaints()
    assert "line 3: 'X0': holds an X" in corpus.complaints()
    assert read_corpus(write(tmp_path / "b.smi", "C"), check).complaints() == ""


def test_a_gzip_file_is_read(tmp_path: Path):
    path = tmp_path / "a.smi.gz"
    path.write_bytes(gzip.compress(b"CC\nX\n"))
    corpus = read_corpus(path, check)
    assert corpus.sequences == ["CC"] and corpus.broken == ["line 2: 'X': holds an X"]


CSV = 'id,SMILES,note\n1,CC,"a\nb"\n2,X,\n3,,empty\n4,"CO",\n5\n'


@pytest.mark.parametrize("packed", [False, True])
def test_a_csv_column_is_found_by_its_usual_name_or_as_given(tmp_path: Path, packed: bool):
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    path.write_bytes(gzip.compress(CSV.encode()) if packed else CSV.encode())
    corpus = read_corpus(path, check)
    assert corpus.sequences == ["CC", "CO"]
    assert corpus.broken == ["line 4: 'X': holds an X"]  # the quoted line break counts
    assert read_corpus(path, check, "id").sequences == ["1", "2", "3", "4", "5"]


def test_a_csv_of_a_spreadsheet_is_read(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfsmiles,y\r\nCC,1\r\n")
    assert read_corpus(path, check).sequences == ["CC"]


def test_a_parquet_column_is_read(tmp_path: Path):
    path = tmp_path / "a.parquet"
    table = {"sequence": ["CC", None, "X", "N"], "other": ["O", "O", "O", "O"]}
    pq.write_table(pa.table(table), path)
    corpus = read_corpus(path, check)
    assert corpus.sequences == ["CC", "N"] and corpus.broken == ["line 3: 'X': holds an X"]
    assert read_corpus(path, check, "other").sequences == ["O"] * 4
    with pytest.raises(CorpusError, match="no column 'smiles'; it has: sequence, other"):
        read_corpus(path, check, "smiles")


@pytest.mark.parametrize(
    ("name", "content", "column", "message"),
    [
        ("a.smi", None, None, "there is no file .*a.smi"),
        ("a.smi", b"", None, "no usable sequence"),
        ("a.smi", b"X\n", None, "no usable sequence.*\n.*line 1: 'X'"),
        ("a.csv", b"a,b\n1,2\n", None, "choose one with --column from: a, b"),
        ("a.csv", b"a,b\n1,2\n", "c", "no column 'c'; it has: a, b"),
        ("a.csv", b"", None, "no column"),
        ("a.smi", b"\xff\xfe\xff", None, "can't be read as text"),
        ("a.smi.gz", b"not gzip", None, "can't be read as text"),
        ("a.smi.gz", gzip.compress(b"CC\n" * 99, mtime=0)[:-9], None, "can't be read as text"),
        (
            "a.smi.gz",
            gzip.compress(b"CC\n", mtime=0)[:10] + b"\xff" * 20,
            None,
            "can't be read as text",
        ),
        ("a.parquet", b"not Parquet", None, "is not a Parquet file"),
    ],
)
def test_an_unusable_file_raises_with_its_name(tmp_path: Path, name, content, column, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CorpusError, match=message) as caught:
        read_corpus(path, check, column)
    assert name in str(caught.value)
