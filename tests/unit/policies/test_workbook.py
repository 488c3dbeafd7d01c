from __future__ import annotations

import gzip
import io
import re
import sys
import tempfile
import tracemalloc
import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import openpyxl
import pytest

from sequence_tutor.policies.files import workbook
from sequence_tutor.policies.files.table_reader import (
    CorpusError,
    count_rows,
    read_sequences,
    read_table,
)


def write(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def test_rows_have_the_numbers_of_excel_and_empty_ones_are_skipped(tmp_path: Path):
    path = write(
        tmp_path / "a.xlsx",
        [
            [],
            ["id", "SMILES", None, "when"],
            [1, "CCO ethanol", True, datetime(2020, 1, 2)],
            [None, " "],
            [2.5, None, "x"],
            [3, "N"],
        ],
    )
    assert list(read_sequences(path)) == [(3, "CCO"), (5, ""), (6, "N")]
    assert count_rows(path) == 3
    header, place, rows = read_table(path)
    assert (header, place) == (["id", "SMILES", "", "when"], 1)
    assert list(rows) == [
        ["1", "CCO ethanol", "True", "2020-01-02 00:00:00"],
        ["2.5", "", "x", ""],
        ["3", "N", "", ""],
    ]


def test_the_first_sheet_that_is_not_hidden_is_read(tmp_path: Path):
    book = openpyxl.Workbook()
    book.active.append(["smiles"])
    book.active.append(["hidden"])
    book.active.sheet_state = "hidden"
    for text in ("C", "N"):
        sheet = book.create_sheet()
        sheet.append(["smiles"])
        sheet.append([text])
    book.save(tmp_path / "a.xlsx")
    assert [text for _, text in read_sequences(tmp_path / "a.xlsx")] == ["C"]


def with_part(path: Path, name: str, old: bytes, new: bytes) -> None:
    """Replace a text in a part of a workbook."""
    with zipfile.ZipFile(path) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    assert old in parts[name]
    parts[name] = parts[name].replace(old, new)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, content in parts.items():
            archive.writestr(part, content)


SHEET = "xl/worksheets/sheet1.xml"


def test_of_a_formula_the_stored_value_is_read(tmp_path: Path):
    path = write(tmp_path / "a.xlsx", [["smiles", "x"], ["CCO", "=1+1"], ["N", "=2+2"]])
    with zipfile.ZipFile(
        path
    ) as archive:  # openpyxl writes the empty value otherwise where lxml is there
        empty = re.search(rb"<f>1\+1</f>(<v ?/>|<v></v>)", archive.read(SHEET))
    assert empty is not None
    with_part(path, SHEET, empty[0], b"<f>1+1</f><v>41</v>")
    assert [row[1] for row in read_table(path)[2]] == ["41", ""]


def test_a_wrong_size_of_the_sheet_loses_no_cells(tmp_path: Path):
    path = write(tmp_path / "a.xlsx", [["id", "smiles"], [1, "CCO"], [2, "N"]])
    with_part(path, SHEET, b'<dimension ref="A1:B3"', b'<dimension ref="A1"')
    assert [text for _, text in read_sequences(path)] == ["CCO", "N"]


def test_without_openpyxl_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write(tmp_path / "a.xlsx", [["smiles"], ["CCO"]])
    assert count_rows(path) == 1
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(CorpusError, match=r"pip install 'sequence-tutor\[excel\]', or save"):
        count_rows(path)


def test_errors_name_the_file_and_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(tmp_path / "a.xlsx", [["id", "smiles"], [1, "CCO"], [1, "CCO", "more"]])
    with pytest.raises(CorpusError, match=f"{path} .*row 3 has 3 cells, but there are 2 columns"):
        count_rows(path)
    write(path, [["id", "mol"], [1, "CCO"]])
    assert count_rows(path, "mol") == 1
    with pytest.raises(CorpusError, match="choose one with --column from: id, mol"):
        list(read_sequences(path))
    write(path, [])
    with pytest.raises(CorpusError, match="no column"):
        list(read_sequences(path))
    write(path, [["smiles"], *[["CCO"]] * 50])
    with_part(path, SHEET, b'<row r="40"', b'<row r="40" <')
    with pytest.raises(CorpusError, match="can't be read as an Excel workbook after row 39: "):
        count_rows(path)
    monkeypatch.setattr(workbook, "LARGEST_PART", 100)
    with pytest.raises(CorpusError, match="too large for an Excel workbook: .* bytes; save"):
        count_rows(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"smiles\nCCO\n", "is not an Excel workbook: it begins with b'smiles'; rename it"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "or one with a password: save it as .xlsx"),
        (b"PK\x03\x04nothing", "can't be read as an Excel workbook: "),
    ],
)
def test_other_files_called_xlsx_raise(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "a.xlsx"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        count_rows(path)


def test_a_workbook_under_another_name_says_how_to_call_it(tmp_path: Path):
    write(tmp_path / "a.xlsx", [["smiles"], ["CCO"]]).rename(tmp_path / "a.csv")
    with pytest.raises(CorpusError, match="where it is an Excel workbook, call it .xlsx"):
        count_rows(tmp_path / "a.csv")


def test_a_packed_file_is_unpacked_to_the_disk_and_not_to_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    content = write(tmp_path / "a.xlsx", [["smiles"], ["CCO"]]).read_bytes()
    path = tmp_path / "b.xlsx.gz"
    bomb = gzip.compress(content + bytes(200 << 20), 1)
    path.write_bytes(bomb)
    tracemalloc.start()
    try:
        with pytest.raises(CorpusError, match="can't be read as an Excel workbook"):
            count_rows(path)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()
    path.write_bytes(gzip.compress(content)[:-9])
    with pytest.raises(CorpusError, match=f"{path} can't be unpacked"):
        count_rows(path)
    path.write_bytes(gzip.compress(content))
    assert count_rows(path) == 1

    def full() -> io.BytesIO:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(OSError, match="No space left"):
        count_rows(path)


@pytest.mark.nightly
def test_memory_is_bounded(tmp_path: Path):
    path = tmp_path / "a.xlsx"
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in [["smiles", "x"], *(["CCO", i] for i in range(30_000))]:
        sheet.append(row)
    book.save(path)

    def peak(read: object) -> int:
        tracemalloc.start()
        try:
            assert callable(read)
            read()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    bound = 6 << 20
    assert peak(lambda: count_rows(path)) < bound
    assert peak(lambda: list(read_table(path)[2])) > bound  # control
