"""The component `process`: a user's program, asked line by line or once for each batch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from sequence_tutor.rewards.external import answers
from sequence_tutor.rewards.external.dividing import BatchComplaint, Values, divided
from sequence_tutor.rewards.external.program import Program, ProgramEndedError
from sequence_tutor.rewards.place import Place, TextJudge
from sequence_tutor.rewards.registry import EVERY, component
from sequence_tutor.rewards.returned import Complaint

Start = Callable[[], Program]


@component(
    "process",
    domain=EVERY,
    texts=True,
    reference="docs/programs.md",
    example='command = ["python3", "my_program.py"]',
)
def process(
    place: Place,
    *,
    command: list[str] | str,
    protocol: Literal["lines", "batch"] = "lines",
    property: str | None = None,
    directory: str | None = None,
    environment: dict[str, str] | None = None,
) -> TextJudge:
    """What a program of yours answers.

    command: the program and its arguments, as a list; no shell reads it.
    protocol: "lines", a program that runs on and answers each line with a line of JSON, or "batch",
    one run for each batch, which answers with JSON or CSV when its standard input ends.
    property: the key or the column that has the number, where there are several.
    directory: its working directory, relative to the one where the run was started, which is the
    default.
    environment: variables that it gets beside those of the run.
    """
    if isinstance(command, str):
        raise _wrong(f'command is a list, such as ["dock", "--fast"], not the text {command!r}')
    if not command or not command[0]:
        raise _wrong("command names no program")
    if any("\0" in word for word in command):
        raise _wrong("an argument of command has a null character")
    where = place.directory if directory is None else place.find(directory)
    if where is None or not where.is_dir():
        raise _wrong(f"there is no directory {directory!r} in {place.directory}")
    where = where.resolve()
    # a Python program's answers would wait in its buffer
    variables = {"PYTHONUNBUFFERED": "1"} | dict(os.environ) | (environment or {})
    _check_program(command[0], where, variables)

    def start() -> Program:
        return Program(command, where, variables)

    if protocol == "lines":
        return TextJudge(_Lines(start, property))
    return TextJudge(lambda texts: _judge_batch(start, property, texts), at_once=True)


def _wrong(text: str) -> ValueError:
    return ValueError(f"component 'process': {text}")


def _check_program(name: str, directory: Path, variables: Mapping[str, str]) -> None:
    if "/" not in name:
        if shutil.which(name, path=variables.get("PATH")) is None:
            raise _wrong(f"there is no program {name!r} on the PATH: install it, or give its path")
        return
    path = directory / name
    if not path.is_file():
        raise _wrong(f"there is no program {name!r} in {directory}")
    if not os.access(path, os.X_OK):
        raise _wrong(f"{name!r} can't be executed: set its permission, chmod +x {path}")


class _Lines:
    """Judges one text at a time with a program that runs on."""

    def __init__(self, start: Start, property: str | None) -> None:
        self._start, self._property = start, property
        self._program: Program | None = None

    def __call__(self, text: str) -> float:
        if not _is_line(text):
            raise Complaint(_NO_LINE)
        if self._program is not None and not self._program.has_ended:
            try:
                return self._ask(self._program, text)
            except ProgramEndedError:
                pass  # earlier sequences may be the cause: once more, in a new one
        self._program = self._start()
        return self._ask(self._program, text)

    def _ask(self, program: Program, text: str) -> float:
        try:
            answer = answers.from_json(program.ask(text))
        except Complaint as complaint:
            # what it writes next may belong to any sequence
            words = program.words
            program.kill()
            self._program = None
            raise type(complaint)(_with(complaint, words)) from None
        try:
            return answers.value_of(answer, self._property)
        except Complaint as complaint:
            raise Complaint(_with(complaint, program.words)) from None


def _judge_batch(start: Start, property: str | None, texts: Sequence[str]) -> Values:
    """The values of B texts, from one run, or from runs of its halves where that fails."""

    def run(some: Sequence[str]) -> Values:
        program = start()
        try:
            output = program.run("".join(f"{text}\n" for text in some))
            values = answers.values_of(output, len(some), property)
        except Complaint as complaint:
            raise BatchComplaint(_with(complaint, program.words)) from None
        finally:
            words = program.words
            program.kill()
        return [
            Complaint(_with(one, words)) if isinstance(one, Complaint) else one for one in values
        ]

    lines = [text for text in texts if _is_line(text)]
    values = iter(divided(run, lines))
    return [next(values) if _is_line(text) else Complaint(_NO_LINE) for text in texts]


_NO_LINE = "the sequence has several lines, and the program gets one for each"


def _is_line(text: str) -> bool:
    return "\n" not in text and "\r" not in text


def _with(complaint: Complaint, words: str) -> str:
    """A complaint with the program's last words."""
    return f"{complaint}: {words}" if words and words != str(complaint) else str(complaint)
