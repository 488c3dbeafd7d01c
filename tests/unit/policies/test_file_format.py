from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sequence_tutor.policies.files.table_reader import CorpusError, count_rows, read_sequences

MOL = "\n  RDKit\n\n  1  0  0  0  0  0  0  0  0  0999 V2000\n    0.0 0.0 0.0 C\nM  END\n$$$$\n"


def sequences(path: Path, column: str | None = None) -> list[str]:
    found = [text for _, text in read_sequences(path, column)]
    assert count_rows(path, column) == len(found)
    return found


def zipped(content: bytes, *names: str) -> bytes:
    binary = io.BytesIO()
    with zipfile.ZipFile(binary, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return binary.getvalue()


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd,
    ".zip": lambda content: zipped(content, "a/", "a/b.smi", "__MACOSX/a/._b.smi"),
}


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("packing", PACKERS)
def test_packed_files_are_read_under_any_name(tmp_path: Path, packing: str, named: bool):
    path = tmp_path / f"a.smi{packing if named else ''}"
    path.write_bytes(PACKERS[packing](b"CCO ethanol\n\nN\n"))
    assert sequences(path) == ["CCO", "", "N"]
    path.write_bytes(PACKERS[packing](random.Random(1).randbytes(9999).hex("\n").encode())[:-30])
    with pytest.raises(CorpusError, match=f"{path} can't be read as"):
        sequences(path)


@pytest.mark.parametrize("packing", PACKERS)
def test_a_name_of_another_packing_raises(tmp_path: Path, packing: str):
    path = tmp_path / f"a.smi{packing}"
    path.write_bytes(b"CCO\n")
    with pytest.raises(CorpusError, match=f"is called {packing} but isn't packed.*rename it"):
        sequences(path)
    path.write_bytes(PACKERS[".xz" if packing == ".gz" else ".gz"](b"CCO\n"))
    with pytest.raises(CorpusError, match=f"is called {packing} but is packed as"):
        sequences(path)


def test_a_zip_must_hold_one_plain_file(tmp_path: Path):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(b"id,smiles\n1,CCO\n", "b.csv"))
    assert sequences(path) == ["CCO"]
    for content, message in [
        (zipped(b"CCO\n", "a.smi", "b.smi"), "a zip of 2 files: a.smi, b.smi; unpack"),
        (zipped(b"<x>", "[Content_Types].xml", "xl/workbook.xml"), "save it as CSV"),
        (zipped(gzip.compress(b"CCO\n"), "a.smi.gz"), "packed twice"),
    ]:
        for name in ("a.zip", "a.csv"):
            path = tmp_path / name
            path.write_bytes(content)
            with pytest.raises(CorpusError, match=message):
                sequences(path)


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32"])
@pytest.mark.parametrize("name", ["a.smi", "a.csv"])
def test_unicode_files_of_spreadsheets_and_windows_are_read(tmp_path: Path, codec: str, name: str):
    path = tmp_path / name
    lines = (
        ["CCO Äthanol", "", "CCN 尼古丁"] if name == "a.smi" else ["smiles,x", "CCO,Ä", "CCN,尼"]
    )
    path.write_bytes("\r\n".join(lines).encode(codec))
    assert sequences(path) == (["CCO", "", "CCN"] if name == "a.smi" else ["CCO", "CCN"])


def test_latin_1_raises_with_its_line_and_a_remedy(tmp_path: Path):
    path = tmp_path / "a.smi"
    path.write_bytes("CCO\nCCN caf\xe9\n".encode("latin-1"))
    with pytest.raises(CorpusError, match="at line 2: .*iconv -f WINDOWS-1252"):
        sequences(path)
    names = [text for _, text in read_sequences(path, tolerant=True)]
    assert names == ["CCO", "CCN"]


TABLE = "id\tSMILES\nC\tc1ccccc1O\nN\tCC(=O)O\nO\tCCO\n"


@pytest.mark.parametrize("name", ["ids.tsv", "ids.tab", "ids.txt", "ids.smi", "ids", "ids.csv"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|", " "])
def test_a_requested_column_is_read(tmp_path: Path, name: str, delimiter: str):
    path = tmp_path / name
    path.write_text(TABLE.replace("\t", delimiter))
    assert sequences(path, "SMILES") == ["c1ccccc1O", "CC(=O)O", "CCO"]
    assert sequences(path, "id") == ["C", "N", "O"]
    with pytest.raises(CorpusError, match="no column 'mol'; it has: id, SMILES"):
        sequences(path, "mol")
    if name in ("ids.tsv", "ids.tab", "ids.csv") and delimiter != " ":
        assert sequences(path) == ["c1ccccc1O", "CC(=O)O", "CCO"]
    else:  # without the error the ids would be read as methane, ammonia and water
        with pytest.raises(CorpusError, match="--column"):
            sequences(path)


def test_a_text_without_a_header_has_no_column_to_request(tmp_path: Path):
    path = tmp_path / "a.smi"
    path.write_text("CCO\tethanol\nCCN\n")
    with pytest.raises(CorpusError, match="no column 'SMILES'; it has: CCO, ethanol"):
        sequences(path, "SMILES")


@pytest.mark.parametrize(
    "content",
    [
        "CCO ethanol\nCCN ethyl amine, pure; 99%\n",
        "SMILES\tID\nCCO\t1\nCCN\t2\n",
        "smiles name\nCCO 1\nCCN 2\n",
        "CCO |$a;b;c$| x\nCCN |$a,b,c$|\nCCC\n",
        "CCO my smiles, a sequence\n",
        "[Na+].[Cl-]\n[H][H]\n",
        "{\n[\n[[[[\nC,C\nCCO\nN\nC\nO\nS\n",
        "# SMILES of mine\nCCO\n",
        "",
        "\n\n",
    ],
)
@pytest.mark.parametrize("name", ["a.smi", "a.txt"])
def test_plain_text_is_not_taken_for_a_table(tmp_path: Path, name: str, content: str):
    path = tmp_path / name
    path.write_text(content)
    lines = content.splitlines()
    assert sequences(path) == [line.split()[0] if line else "" for line in lines]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"smiles,name\nCCO,ethanol\n", "table with a comma.*'smiles,name'.*--column 'smiles'"),
        (b"name;canonical_smiles\nx;CCO\n", "semicolon.*--column 'canonical_smiles'"),
        (b"CCO,ethanol\nCCN,amine\n", "comma.*'CCO,ethanol'.*rename it to .csv"),
        (b"1;CCO\n2;CCN\n", "semicolon.*rename it to .csv"),
        (b"id\tsequence\n1\tCCO\n", "tab.*--column 'sequence'"),
        (b"id smiles\n1 CCO\n", "white space.*--column 'smiles'"),
        (MOL.encode(), "a mol block or SD file.*'RDKit'"),
        (b"@<TRIPOS>MOLECULE\nx\n", "Mol2"),
        (b"HEADER    PROTEIN\nATOM      1\n", "PDB"),
        (b"InChI=1S/CH4/h1H4\n", "InChI"),
        (b"<!DOCTYPE html>\n<html>", "a web page"),
        (b'<?xml version="1.0"?>\n<cml>', "XML"),
        (b'{"smiles": ["CCO"]}\n', "JSON"),
        (b'[\n {"smiles": "CCO"}\n]', "JSON"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Excel"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"SQLite format 3\0", "SQLite"),
        (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
        (b"a" * 257 + b"ustar\0", "tar archive"),
    ],
)
def test_a_file_of_another_kind_raises_with_its_kind(tmp_path: Path, content: bytes, message: str):
    for name in ("a.txt", "a.smi.gz", "a.csv"):
        if name == "a.csv" and "--column" in message or ".csv" in message:
            continue
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        with pytest.raises(CorpusError, match=message) as caught:
            sequences(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_parquet_named_csv_and_csv_named_parquet_raise(tmp_path: Path):
    for name in ("a.csv", "a.smi"):
        pq.write_table(pa.table({"smiles": ["CCO"]}), tmp_path / name)
        with pytest.raises(CorpusError, match="looks like Parquet: rename it to .parquet"):
            sequences(tmp_path / name)
    (tmp_path / "a.parquet").write_text("smiles\nCCO\n")
    with pytest.raises(CorpusError, match="is not a Parquet file: it begins with b'smiles'"):
        sequences(tmp_path / "a.parquet")
