"""What programs and servers answer: JSON or CSV, read into one value for each sequence.

A value is what JSON has for it, to be judged as any component's value; what can't be one becomes a
`Complaint`.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from typing import Any

from sequence_tutor.rewards.returned import Complaint

# Characters of an answer that a complaint shows.
SHOWN = 80
# Numbers that programs write and JSON lacks.
_WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "None": None}


def from_json(text: str, cleaned: Callable[[str], str] = str) -> Any:
    """The value of a JSON text, or of a number that JSON lacks. Raises Complaint, which shows the
    beginning of the text as it is `cleaned`."""
    text = text.strip()
    if text in _WORDS:
        return _WORDS[text]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if (number := _number(text)) is not None:  # such as .5
            return number
        raise Complaint(f"answered {shown(cleaned(text))}, which is no JSON") from None


def value_of(answer: Any, name: str | None) -> float:
    """The number of one sequence's answer: a number, or an object that has it under `name`, or
    alone. Raises Complaint for null, a text (an error's), a number that isn't finite, and what
    has no such number."""
    if isinstance(answer, dict):
        answer = _in_object(answer, name)
    if answer is None:
        raise Complaint("answered null")
    if isinstance(answer, str):
        raise Complaint(answer or "answered an empty text")
    if isinstance(answer, (list, dict)):
        raise Complaint(f"answered {shown(json.dumps(answer))}, which is no number")
    try:
        number = float(answer)
    except OverflowError:
        raise Complaint("answered a number too large for a float") from None
    if not math.isfinite(number):
        raise Complaint(f"answered {number}")
    return number


def values_of(text: str, n: int, name: str | None) -> list[float | Complaint]:
    """The numbers of n sequences, from JSON (a list, an object of lists, or what REINVENT4's
    external programs write), from CSV with a header, or from n lines of a number each. Raises
    Complaint where it doesn't fit."""
    text = text.lstrip("\ufeff").strip()
    if not text:
        raise Complaint("wrote nothing to its standard output")
    lines = text.splitlines()
    if text[0] in "[{":
        answers = _column(from_json(text), name)
    elif len(lines) == n and all(map(_is_number, lines)):
        answers = list(map(from_json, lines))
    else:
        answers = _csv_column(text, name)
    return each(answers, n, name)


def each(answers: Any, n: int, name: str | None = None) -> list[float | Complaint]:
    """The numbers of a list of n answers. Raises Complaint where there isn't one for each."""
    if not isinstance(answers, list):
        answers = [answers] if n == 1 else answers
    if not isinstance(answers, list):
        said = shown(json.dumps(answers))
        raise Complaint(f"answered {said} for {n} sequences, not a list")
    if len(answers) != n:
        raise Complaint(f"answered {len(answers)} values for {n} sequences")
    values: list[float | Complaint] = []
    for answer in answers:
        try:
            values.append(value_of(answer, name))
        except Complaint as complaint:
            values.append(complaint)
    return values


def at_path(answer: Any, path: str) -> Any:
    """What a JSON answer has at a dotted path, such as "results.value": the value under "results",
    and in each element of a list the one under "value". A number is a place in a list. Raises
    Complaint where it isn't there; in the elements of a list, such a one is null."""
    for at, part in enumerate(parts := path.split(".") if path else []):
        if isinstance(answer, list) and not part.isdecimal():
            rest = ".".join(parts[at:])
            return [_element(one, rest) for one in answer]
        found = answer.get(part, _ABSENT) if isinstance(answer, dict) else _ABSENT
        if isinstance(answer, list) and int(part) < len(answer):
            found = answer[int(part)]
        if found is _ABSENT:
            raise Complaint(f"answered without {'.'.join(parts[: at + 1])!r}{_has(answer)}")
        answer = found
    return answer


_ABSENT = object()


def _element(one: Any, path: str) -> Any:
    try:
        return at_path(one, path)
    except Complaint as complaint:
        error = one.get("error") if isinstance(one, dict) else None
        return error if isinstance(error, str) else str(complaint)


def shown(text: str) -> str:
    """The beginning of a text on one line, in quotes."""
    text = " ".join(text.split())
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")


def _in_object(answer: dict[str, Any], name: str | None) -> Any:
    if name is None and len(answer) == 1:
        (name,) = answer
    if name is not None and name in answer:
        return answer[name]
    if isinstance(error := answer.get("error"), str):
        raise Complaint(error)
    if name is None:
        raise Complaint(f"answered an object{_has(answer)}; give `property`, one of its keys")
    raise Complaint(f"answered without {name!r}{_has(answer)}")


def _column(answer: Any, name: str | None) -> Any:
    """The list of values in an answer to a batch."""
    if not isinstance(answer, dict):
        return answer
    if isinstance(answer.get("payload"), dict):  # REINVENT4's external programs
        answer = answer["payload"]
    return _in_object(answer, name)


def _csv_column(text: str, name: str | None) -> list[Any]:
    """A column of a table with a header; an empty cell is null, and another text an error."""
    first = text.partition("\n")[0]
    separator = next((c for c in "\t;" if c in first and "," not in first), ",")
    try:
        header, *rows = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
    except (csv.Error, ValueError) as error:
        raise Complaint(f"wrote {shown(text)}, which is neither JSON nor CSV: {error}") from None
    header = [cell.strip() for cell in header]
    if _number(header[0]) is not None:
        raise Complaint(f"wrote {shown(text)}, neither JSON nor CSV with a header")
    if name is None and len(header) > 1:
        raise Complaint(f"wrote the columns {', '.join(header)}; give `property`, one of them")
    if name is not None and name not in header:
        raise Complaint(f"wrote no column {name!r}; there are {shown(', '.join(header))}")
    at = 0 if name is None else header.index(name)
    cells = [row[at].strip() if at < len(row) else "" for row in rows if row]
    numbers = map(_number, cells)
    return [(cell or None) if n is None else n for cell, n in zip(cells, numbers, strict=True)]


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _is_number(line: str) -> bool:
    return line.strip() in ("null", *_WORDS) or _number(line) is not None


def _has(answer: Any) -> str:
    if not isinstance(answer, dict):
        return f", but {shown(json.dumps(answer))}"
    return f"; it has {', '.join(map(repr, list(answer)[:8])) or 'no keys'}"
