"""Rows of the first sheet of an Excel workbook (.xlsx) as texts.

Rows are read one after the other. openpyxl holds about 100 bytes of each row that it has read, and
the workbook's list of shared texts; a list that is too large is refused before it is unpacked. Of a
formula the value that Excel stored is read; nothing is computed or run. Faults raise a CorpusError.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sequence_tutor.policies.files.csv_rows import PlacesOf
from sequence_tutor.policies.files.packed_file import CorpusError, seekable
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.files.text_lines import cut

# Bytes, unpacked, of what is held as a whole: shared texts, styles. A million texts of 200
# characters have 200 MB.
LARGEST_PART = 1 << 29


def sheet_rows(path: Location, places_of: PlacesOf) -> Iterator[tuple[int, list[str]]]:
    """Yield (row number as in Excel, the values of the columns to read) of each row below the
    header, which is the first row that isn't empty. Empty rows are skipped; a missing cell is "".

    Raises CorpusError.
    """
    header: list[str] | None = None
    places = list[int]()
    with _sheet(path) as rows:
        for number, values in rows:
            cells = [text_of(value) for value in values]
            while cells and not cells[-1]:
                cells.pop()
            if not cells:
                continue
            if header is None:
                header, places = cells, list(places_of(cells))
                continue
            if len(cells) > len(header):
                raise CorpusError(
                    f"{path} can't be read as a table: row {number} has {len(cells)} cells, but "
                    f"there are {len(header)} columns; give each column a name in the first row"
                )
            yield number, [cells[i] if i < len(cells) else "" for i in places]
    if header is None:
        places_of([])


def text_of(value: object) -> str:
    """A cell as text, without white space around it; "" for an empty one."""
    return "" if value is None else cut(str(value).strip())


@contextmanager
def _sheet(path: Location) -> Iterator[Iterator[tuple[int, tuple[Any, ...]]]]:
    """Open the first sheet that isn't hidden, as rows with their numbers."""
    try:
        import openpyxl
    except ImportError as error:
        raise CorpusError(
            f"{path} is an Excel workbook, and openpyxl, which reads them, isn't installed: "
            "pip install 'sequence-tutor[excel]', or save the sheet as CSV (UTF-8)"
        ) from error
    with seekable(path) as source:
        with _reading(path, 0):
            _check_parts(path, source)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # on parts that aren't cells, such as drop-downs
                book = openpyxl.load_workbook(source, read_only=True, data_only=True)
        try:
            shown = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
            if not shown:
                raise CorpusError(f"{path} has no sheet with cells that isn't hidden")
            # the size that a file states may be wrong, and cells beyond it would be lost
            shown[0].reset_dimensions()
            yield _numbered(path, shown[0].iter_rows(values_only=True))
        finally:
            book.close()


def _numbered(
    path: Location, rows: Iterator[tuple[Any, ...]]
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    number = 0
    while True:
        with _reading(path, number):
            row = next(rows, None)
        if row is None:
            return
        number += 1
        yield number, row


@contextmanager
def _reading(path: Location, row: int) -> Iterator[None]:
    """Raise errors of the block as CorpusError. A damaged workbook makes openpyxl raise errors of
    many kinds: of zip, of XML, and of what it expects to find."""
    try:
        yield
    except (CorpusError, MemoryError):
        raise
    except Exception as error:
        after = f" after row {row}" if row else ""
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CorpusError(
            f"{path} can't be read as an Excel workbook{after}: {reason}; open it in Excel and "
            "save it again, or save the sheet as CSV (UTF-8)"
        ) from error


def _check_parts(path: Location, source: Any) -> None:
    """Raise CorpusError where a part that openpyxl reads as a whole is too large."""
    with zipfile.ZipFile(source) as archive:
        for part in archive.infolist():
            is_sheet = part.filename.startswith("xl/worksheets/")
            if part.filename.endswith(".xml") and not is_sheet and part.file_size > LARGEST_PART:
                raise CorpusError(
                    f"{path} is too large for an Excel workbook: {part.filename} in it has "
                    f"{part.file_size:,} bytes; save the sheet as CSV (UTF-8)"
                )
    source.seek(0)
