"""The format of a file, by its name and its first bytes: lines of text, a table, Parquet, Excel or
an SD file.

A file whose content doesn't fit its name raises a CorpusError with its first line and what to do,
since reading it in the wrong format would give wrong sequences without an error.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sequence_tutor.policies.files.packed_file import (
    UNREADABLE,
    WORKBOOKS,
    CorpusError,
    check_is_file,
    name_inside,
    suffixes_of,
    unpacked,
)
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.files.text_lines import head_of

Kind = Literal["text", "csv", "parquet", "excel", "sdf"]

# Endings of SD files and of single mol blocks, which are SD files of one record.
SD_FILES = (".sdf", ".sd", ".mol")
# What a message calls the parts that are counted from 1.
PLACES: dict[Kind, str] = {
    "text": "line",
    "csv": "line",
    "parquet": "line",
    "excel": "row",
    "sdf": "record",
}

# Delimiters of tables, the likeliest first; a space stands for any white space.
DELIMITERS = (",", "\t", ";", "|", " ")
_NAMES = {",": "comma", "\t": "tab", ";": "semicolon", "|": "|", " ": "white space"}
# Usual names of the column of sequences, in lower case.
USUAL = ("smiles", "sequence")
# Lines that are examined, and characters of one that an error shows.
LOOKED_AT, SHOWN = 200, 80

_CONVERT = "convert it to a text file of SMILES, one per line, for example with RDKit"
_BINARY = {
    b"PAR1": ("Parquet", "rename it to .parquet"),
    b"%PDF": ("PDF", "copy the sequences into a text file"),
    b"\xd0\xcf\x11\xe0": (
        "an old Excel or Office file, or one with a password",
        "save it as .xlsx without a password, or as CSV (UTF-8)",
    ),
    b"\x89HDF": ("HDF5", "save its table as CSV or Parquet"),
    b"ARROW1": ("Arrow or Feather", "save it as Parquet: pandas.read_feather, to_parquet"),
    b"SQLite format 3": ("an SQLite database", "save the table as CSV"),
    b"\x93NUMPY": ("a NumPy array", "save it as text or CSV"),
    b"\x80\x04": ("a Python pickle", "save it as CSV or Parquet"),
    b"\x80\x05": ("a Python pickle", "save it as CSV or Parquet"),
    b"\x89PNG": ("a picture", "copy the sequences into a text file"),
    b"MThd": ("MIDI", "see --encoding melody"),
    b"Rar!": ("a RAR archive", "unpack it first"),
    b"7z\xbc\xaf\x27\x1c": ("a 7-Zip archive", "unpack it first"),
    b"\x04\x22\x4d\x18": ("packed with LZ4", "unpack it first"),
    b"\x1f\x9d": ("packed with compress", "unpack it first"),
    b"\x1f\x8b": ("packed twice", "unpack it first"),
    b"PK\x03\x04": ("packed twice", "unpack it first"),
}
# The line of a mol block that says how many atoms follow.
_COUNTS = re.compile(r"^.{33,36}V[23]000\s*$", re.M)
# Text formats that are refused: pattern, number of first nonblank lines to search, name.
_TEXTS = (
    (re.compile(r"^@<TRIPOS>", re.M), 20, "a Mol2 file"),
    (re.compile(r"\A(HEADER|COMPND|REMARK|CRYST1|MODEL|ATOM  |HETATM)\s"), 1, "a PDB file"),
    (re.compile(r"\Adata_\S*\s*^[_#l]", re.M), 2, "a CIF file"),
    (re.compile(r"\AInChI=1"), 1, "InChI"),
    (re.compile(r"\A\s*<(!doctype|html|head|body)\b", re.I), 1, "a web page (HTML)"),
    (re.compile(r"\A\s*<(\?xml|[a-z]+[ >])", re.I), 1, "XML"),
    (re.compile(r"\A\s*(\{\s*\"|\[\s*[{\"])"), 2, "JSON"),
    (re.compile(r"\A\{\\rtf"), 1, "a document (RTF)"),
)
# Column names that databases and toolkits give to SMILES, in lower case.
_LIKE_SMILES = re.compile(r"(\w+[_ ])?smiles([_ ]\w+)?")


@dataclass(frozen=True)
class Format:
    """The format in which a file is read."""

    kind: Kind
    """Lines of text, a table with a delimiter, Parquet, the first sheet of an Excel workbook, or
    records of an SD file."""
    delimiter: str = ""
    """The character between the columns of a table, "" for other files."""


def format_of(path: Location, column: str | None = None) -> Format:
    """Find out how to read a file. With a `column`, a text file is read as a table.

    Raises CorpusError where there is no such file, or its content doesn't fit its name.
    """
    check_is_file(path)
    kind, preferred = _by_name(path)
    if kind == "parquet":
        _check_starts(path, b"PAR", "a Parquet file")
        return Format(kind)
    if kind == "excel":
        _check_starts(path, b"PK\x03\x04", "an Excel workbook")
        return Format(kind)
    head, codec = head_of(path)
    lines = head.decode(codec, "replace").removeprefix("\ufeff").splitlines(keepends=True)
    lines = [line for line in lines if line.strip()][:LOOKED_AT]
    if kind == "sdf":
        _check_is_sdf(path, head, lines)
        return Format(kind)
    first = lines[0].strip() if lines else ""
    _refuse_others(path, head, lines, first)
    if kind == "text" and column is None:
        _refuse_tables(path, lines, first)
        return Format("text")
    return Format("csv", _delimiter(lines, column, preferred))


def is_usual(name: str) -> bool:
    """Whether this is a usual name of the column of sequences."""
    return name.strip().lower() in USUAL


def _by_name(path: Location) -> tuple[Kind, str]:
    """The kind and the delimiter that the file's name suggests."""
    suffixes = suffixes_of(name_inside(path))
    if suffixes[-1:] in ([".parquet"], [".pq"]):
        return "parquet", ""
    if suffixes[-1:] and suffixes[-1] in WORKBOOKS:
        return "excel", ""
    if suffixes[-1:] and suffixes[-1] in SD_FILES:
        return "sdf", ""
    if suffixes[-1:] in ([".tsv"], [".tab"]):
        return "csv", "\t"
    return ("csv" if ".csv" in suffixes else "text"), ","


def _check_starts(path: Location, magic: bytes, what: str) -> None:
    """Raise CorpusError where a file, unpacked, doesn't begin with `magic`."""
    try:
        with unpacked(path) as source:
            start = bytes(source.read(SHOWN))
    except UNREADABLE as error:
        raise CorpusError(f"{path} can't be unpacked: {error}") from error
    if start.startswith(magic):
        return
    for other, (looks, advice) in _BINARY.items():
        if start.startswith(other) and not other.startswith(b"PK"):
            raise CorpusError(f"{path} is not {what}, it looks like {looks}: {advice}")
    first = start.partition(b"\n")[0]
    raise CorpusError(
        f"{path} is not {what}: it begins with {first!r}; rename it to the ending of its real "
        "format, such as .csv"
    )


def _check_is_sdf(path: Location, head: bytes, lines: Sequence[str]) -> None:
    """Raise CorpusError for another format with an SD file's name; an empty file is none."""
    if not lines:
        return
    for magic, (what, advice) in _BINARY.items():
        if head.startswith(magic):
            raise CorpusError(f"{path} isn't an SD file, it looks like {what}: {advice}")
    text = "".join(lines)
    if not (_COUNTS.search(text) or "M  END" in text or "$$$$" in text):
        raise CorpusError(
            f"{path} isn't an SD file: in its first lines there is no mol block (V2000 or V3000); "
            f"it begins with {lines[0].strip()[:SHOWN]!r}; rename it to the ending of its real "
            "format, such as .smi"
        )


def _refuse_others(path: Location, head: bytes, lines: Sequence[str], first: str) -> None:
    """Raise CorpusError for a file that is neither text nor a table."""
    for magic, (what, advice) in _BINARY.items():
        if head.startswith(magic):
            raise CorpusError(f"{path} isn't text, it looks like {what}: {advice}")
    if head[257:262] == b"ustar":
        raise CorpusError(f"{path} is a tar archive: unpack it, and name one file")
    if _COUNTS.search("".join(lines[:4])):
        raise CorpusError(
            f"{path} looks like a mol block or SD file, not like a file of sequences: its first "
            f"line is {first[:SHOWN]!r}; rename it to .sdf"
        )
    for pattern, count, what in _TEXTS:
        if pattern.search("".join(lines[:count])):
            raise CorpusError(
                f"{path} looks like {what}, not like a file of sequences: its first line is "
                f"{first[:SHOWN]!r}; {_CONVERT}"
            )


def _refuse_tables(path: Location, lines: Sequence[str], first: str) -> None:
    """Raise CorpusError for a table with a text file's name."""

    def refuse(delimiter: str, advice: str) -> None:
        raise CorpusError(
            f"{path} looks like a table with a {_NAMES[delimiter]} between its columns, not like "
            f"one sequence a line: its first line is {first[:SHOWN]!r}; {advice}"
        )

    for delimiter in DELIMITERS if not first.startswith("#") else ():
        # a first line "SMILES name" in a .smi doesn't make it a table: sequences come first there
        past = 1 if delimiter in "\t " else 0
        names = [name.strip() for name in _fields([first], delimiter)]
        likely = [name for name in names[past:] if _is_likely(name, delimiter)]
        if len(names) > 1 and likely:
            refuse(delimiter, f"choose the column of sequences: --column {likely[0]!r}")
    for delimiter in ",;":
        apart = [delimiter in line.split(None, 1)[0] for line in lines]
        if lines and sum(apart) > len(lines) / 2:
            refuse(
                delimiter,
                "rename it to .csv, with the names of the columns in the first line, or keep only "
                "the sequences, each with its name after a space or tab",
            )


def _is_likely(name: str, delimiter: str) -> bool:
    """Whether it names a column of sequences; a word after a space may be a molecule's name."""
    if delimiter != " " and is_usual(name):
        return True
    return _LIKE_SMILES.fullmatch(name.lower()) is not None


def _delimiter(lines: Sequence[str], column: str | None, preferred: str) -> str:
    """The first delimiter that gives a column with the wanted or a usual name; else the one that
    gives most columns, so that an error can list them."""
    order = sorted(DELIMITERS[:-1], key=lambda delimiter: delimiter != preferred)
    headers = {delimiter: _fields(lines, delimiter) for delimiter in order}
    if column is not None and all(len(names) < 2 for names in headers.values()):
        headers[" "] = _fields(lines, " ")
    for delimiter, names in headers.items():
        if any(is_usual(n) if column is None else n.strip() == column.strip() for n in names):
            return delimiter
    return max(headers, key=lambda delimiter: len(headers[delimiter]))


def _fields(lines: Sequence[str], delimiter: str) -> list[str]:
    """Fields of the first row; [] where it can't be split."""
    if delimiter == " ":
        return lines[0].split() if lines else []
    try:
        return next(csv.reader(lines, delimiter=delimiter), [])
    except csv.Error:
        return []
