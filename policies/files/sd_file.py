"""Records of an SD file (SDF) as rows of a table: the molecule, its title, and a column per field.

Memory doesn't grow with the file: one record is held at a time. A record that is damaged is a row
too; its sequence is a text that is no valid one and says why. Faults of the file as a whole raise a
CorpusError.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint
from typing import Protocol, cast

from sequence_tutor.policies.files.csv_rows import PlacesOf
from sequence_tutor.policies.files.packed_file import CorpusError
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.files.text_lines import text_lines

# Names of the columns that aren't fields: the molecule as SMILES, and the title.
SEQUENCE, TITLE = "sequence", "name"
# Characters of a record, and number of different fields in a file. A file that has more isn't one.
LONGEST_RECORD, MOST_FIELDS = 1 << 24, 10_000
# What makes SMILES of mol blocks. It is named by a text and loaded with the first SD file, since
# reading mol blocks needs RDKit and nothing else that generates or trains does.
_CONVERTER = "sequence_tutor.rewards.molecules.mol_block:smiles_of"


class Converter(Protocol):
    """Makes the SMILES of a mol block; see `rewards.molecules.mol_block.smiles_of`."""

    def __call__(self, block: str, fault: str = "") -> str:
        """The SMILES; where there is none, or `fault` says what is wrong, a text with the reason.
        Neither has white space."""


@dataclass
class Record:
    """One molecule of an SD file."""

    title: str
    """The first line, without white space around it."""
    block: str
    """The mol block, up to its "M  END"; empty where `fault` says why."""
    fields: dict[str, str] = field(default_factory=dict)
    """Name of a field -> its value, with line breaks where it has several lines."""
    fault: str = ""
    """Why the record can't be read as a whole, empty where it can be tried."""


def sd_rows(path: Location, places_of: PlacesOf, tolerant: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield (record number from 1, the values of the columns to read) of each record.

    The file is read twice, as each record may bring a new field. Molecules are read only where
    `places_of` has their column. Raises CorpusError.
    """
    names, _ = names_and_count(path, tolerant)
    places = places_of(names)
    first_field = 1 if TITLE not in names[1:2] else 2
    for number, record in enumerate(sd_records(path, tolerant), 1):
        values = []
        for place in places:
            if place == 0:
                values.append(converter()(record.block, record.fault))
            elif place < first_field:
                values.append(record.title)
            else:
                values.append(record.fields.get(names[place], ""))
        yield number, values


def names_and_count(path: Location, tolerant: bool) -> tuple[list[str], int]:
    """The names of all columns, and the number of records.

    The title has a column unless all titles are empty. Fields come in the order in which they first
    occur. Raises CorpusError.
    """
    titled, count = False, 0
    fields: dict[str, None] = {}
    for record in sd_records(path, tolerant):
        count += 1
        titled = titled or bool(record.title)
        fields.update(dict.fromkeys(record.fields))
        if len(fields) > MOST_FIELDS:
            raise CorpusError(
                f"{path} has more than {MOST_FIELDS:,} different fields, up to record {count}; "
                "leave out those that you don't need"
            )
    # a field called "name" beside a title: two columns of one name, which `score` keeps apart
    return [SEQUENCE, *([TITLE] if titled else []), *fields], count


def sd_records(path: Location, tolerant: bool) -> Iterator[Record]:
    """Yield the records. The last may lack its "$$$$", as a single mol block does."""
    held: list[str] = []
    size = 0
    for line in text_lines(path, tolerant):
        line = line.rstrip("\r\n")
        if line.startswith("$$$$"):
            yield _record(held, size)
            held, size = [], 0
            continue
        size += len(line) + 1
        if size <= LONGEST_RECORD:
            held.append(line)
    if any(line.strip() for line in held):
        yield _record(held, size)


def _record(lines: list[str], size: int) -> Record:
    title = lines[0].strip() if lines else ""
    if size > LONGEST_RECORD:
        return Record(title, "", fault=f"the record is longer than {LONGEST_RECORD:,} characters")
    ends = [i for i, line in enumerate(lines) if line.startswith("M  END")]
    heads = (i for i, line in enumerate(lines) if i > 3 and line.startswith(">"))
    end = ends[0] + 1 if ends else next(heads, len(lines))
    fields = _fields(lines[end:])
    if len(ends) > 1:
        return Record(title, "", fields, "two molecules in one record: a line $$$$ is missing")
    # without the title, which no molecule depends on and which may have any characters
    return Record(title, "\n".join(["", *lines[1:end], ""]), fields)


def _fields(lines: list[str]) -> dict[str, str]:
    """Fields by name. A value ends at the first blank line; of two fields with one name the last
    counts, as in RDKit."""
    fields: dict[str, str] = {}
    name: str | None = None
    value: list[str] = []
    for line in [*lines, ""]:
        if name is None:
            if line.startswith(">"):
                name, value = _name(line), []
        elif line.strip():
            value.append(line)
        else:
            fields[name] = "\n".join(value)
            name = None
    return fields


def _name(line: str) -> str:
    """The name in a line such as ">  25  <logP>  (3)"; without < and >, all after the first ">"."""
    start, end = line.find("<"), line.rfind(">")
    return line[start + 1 : end].strip() if 0 < start < end else line[1:].strip()


@cache
def converter() -> Converter:
    return cast(Converter, EntryPoint("sdf", _CONVERTER, "").load())
