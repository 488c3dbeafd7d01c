from __future__ import annotations

import gzip
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sequence_tutor.policies.files import text_lines
from sequence_tutor.policies.files.table_reader import (
    CorpusError,
    count_rows,
    read_rows,
    read_sequences,
)


def sequences(path: Path, column: str | None = None) -> list[str]:
    return [text for _, text in read_sequences(path, column)]


def packed(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix.lower() == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["a.smi", "a.SMI.GZ", "a"])
def test_every_line_of_a_text_counts(tmp_path: Path, name: str):
    text = "\ufeffCC ethane\n\n  CO\tmethanol\r\n \rN\n\nΩ"
    path = packed(tmp_path / name, text.encode())
    assert list(read_sequences(path)) == [
        (1, "CC"),
        (2, ""),
        (3, "CO"),
        (4, ""),
        (5, "N"),
        (6, ""),
        (7, "Ω"),
    ]
    assert count_rows(path) == 7


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_rows_of_a_csv_count_and_blank_lines_do_not(tmp_path: Path, name: str):
    text = '\ufeffid, Smiles ,note\r\n1,"C\nC",\n\n2,,"a ""b"""\r\n3\n"4, or 5",Ω\n'
    path = packed(tmp_path / name, text.encode())
    assert list(read_sequences(path)) == [(3, "C"), (5, ""), (6, ""), (7, "Ω")]
    assert count_rows(path) == 4
    assert sequences(path, "id") == ["1", "2", "3", "4,"]  # up to white space, as everywhere
    both = [values for _, values in read_rows(path, lambda names: [names[2], names[0]])]
    assert both == [["", "1"], ['a "b"', "2"], ["", "3"], ["", "4, or 5"]]


def test_every_row_of_a_parquet_file_counts(tmp_path: Path):
    path = tmp_path / "a.parquet"
    table = {"Sequence": ["CC", None, " N ", ""], "Sequence.x": [1, 0, None, 2], "b": [b"C"] * 4}
    pq.write_table(pa.table(table), path, row_group_size=2)
    assert list(read_sequences(path)) == [(1, "CC"), (2, ""), (3, "N"), (4, "")]
    assert sequences(path, "Sequence.x") == ["1", "0", "", "2"]
    assert sequences(path, "b") == ["C"] * 4
    assert count_rows(path) == 4


@pytest.mark.parametrize("suffix", [".smi", ".csv", ".csv.gz", ".parquet"])
def test_files_without_rows_are_empty(tmp_path: Path, suffix: str):
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"smiles": pa.array([], pa.string())}), path)
    else:
        packed(path, b"smiles\n" if ".csv" in suffix else b"")
    assert sequences(path) == [] and count_rows(path) == 0


def test_counting_agrees_with_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text_lines, "CHUNK_BYTES", 3)  # line ends fall on both sides of a boundary
    chosen = random.Random(1)
    for _ in range(300):
        text = "".join(chosen.choices(["\n", "\r", "\r\n", "C", " "], k=chosen.randrange(12)))
        path = packed(tmp_path / "a.smi", chosen.choice([b"", text_lines.BOM]) + text.encode())
        assert count_rows(path) == len(sequences(path)), repr(text)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.smi", b"C\n" * 5000 + b"O\n\xff\n", " at line 5002: .*0xff"),
        ("a.csv", b"smiles\n" + b"C\n" * 5000 + b"\xff\n", " at line 5002: .*0xff"),
        ("a.smi", b"C\nN\n" + b"C" * 2000, "line 3 is longer than 1,000 characters"),
        ("a.csv", b'smiles\nC\n"' + b"C\n" * 99999, "field .*, in the row that begins at line 3"),
        ("a.smi.gz", gzip.compress(random.Random(1).randbytes(99999).hex().encode())[:50000], ""),
    ],
)
def test_a_broken_text_raises_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, message: str
):
    monkeypatch.setattr(text_lines, "LONGEST_LINE", 1000)
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=f"{path} can't be read as text.*{message}"):
        sequences(path)


@pytest.mark.parametrize("read", [sequences, count_rows])
@pytest.mark.parametrize("name", ["a.smi", "a.csv", "a.parquet", "a.csv.gz"])
def test_missing_files_folders_and_wrong_types_raise(
    tmp_path: Path, read: Callable[[Path], object], name
):
    path = tmp_path / name
    with pytest.raises(CorpusError, match=f"there is no file {path}"):
        read(path)
    path.mkdir()
    with pytest.raises(CorpusError, match=f"{path} is a folder"):
        read(path)
    if name in ("a.parquet", "a.csv.gz"):
        path.rmdir()
        path.write_bytes(b"CC\n")
        with pytest.raises(CorpusError, match=f"{path} (is not a Parquet file|can't be read)"):
            read(path)


def test_a_broken_parquet_file_raises_with_its_row(tmp_path: Path):
    path = tmp_path / "a.parquet"
    text = [f"{i}-{random.Random(i).random()}" for i in range(20_000)]
    pq.write_table(pa.table({"smiles": text}), path, row_group_size=10_000, use_dictionary=False)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle + 5000 : middle + 100_000] = bytes(95_000)
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=f"{path} is not a Parquet file.*, after row 8192"):
        sequences(path)


LINES = 200_000
# Never freed: Arrow returns memory to a pool later, which corrupts memory if the pool is freed.
_pools: list[pa.MemoryPool] = []


def peak_bytes(read: Callable[[], object]) -> int:
    """The most memory that Python and Arrow held together during the call."""
    default = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(default)
    _pools.append(pool)
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1] + pool.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(default)


@pytest.mark.parametrize("suffix", [".smi", ".smi.gz", ".csv", ".parquet"])
def test_memory_is_bounded(tmp_path: Path, suffix: str):
    path = tmp_path / f"a{suffix}"
    texts = [f"CC(=O)NC1CCC(O)CC1.{i}" for i in range(LINES)]
    if suffix == ".parquet":
        pq.write_table(pa.table({"smiles": texts}), path, row_group_size=LINES)
    else:
        packed(path, "\n".join(["smiles", *texts]).encode())
    last = texts[-1]
    del texts

    def stream() -> None:
        assert max(read_sequences(path), default=(0, ""))[1] == last

    bound = 5 << 20
    assert peak_bytes(stream) < bound
    if suffix == ".smi":  # control: all of it at once doesn't fit
        assert peak_bytes(lambda: sequences(path)) > 3 * bound
    if suffix == ".parquet":
        assert peak_bytes(lambda: pq.read_table(path)) > bound
