"""Scores (MusicXML, ABC, Humdrum, MEI) to pieces, by a process that runs `score_program`.

Compared with music21's own reading of files in its corpus, the first part of each. ABC, 135 tunes
(110 of Ryan's Mammoth Collection, 25 of O'Neill's): 95 % of the bar lines agree in 125, 98 % of the
notes in 114; of the others that were looked at, music21 misreads broken rhythms between staccato
notes and forgets accidentals, and verovio misreads tuplets of unequal notes. MusicXML, 56 files:
53 by bar lines, 52 by notes. Verovio reads nothing of 4 more.
"""

from __future__ import annotations

import base64
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sequence_tutor.policies.pieces.midi import read_midi
from sequence_tutor.policies.pieces.piece import Piece, ReadError, Section
from sequence_tutor.policies.pieces.score_text import texts_of

LIMIT_S = 30.0  # for one file; the largest scores take some seconds
_PROGRAM = Path(__file__).with_name("score_program.py")
# Quarter notes by which verovio ends a note early, 1 of 120 ticks, or within which places are one.
_TICK = 1 / 120
_SAME = 1e-3


class Scores:
    """Reads scores in a process that is started when the first one comes, and anew after a crash or
    a hang. Close it, or use it as a context manager."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Scores:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # and the process of the score
            self._process.communicate()
            self._process = None

    def read(self, data: bytes, packed: bool) -> list[Piece]:
        """The pieces of a file's content; packed: whether it is a .mxl. Raises ReadError."""
        if find_spec("verovio") is None:
            raise ReadError(
                "scores are read by verovio, which isn't installed: "
                "pip install 'sequence-tutor[notes]'"
            )
        if packed:
            requests = [{"zip": base64.b64encode(data).decode("ascii")}]
        else:
            requests = [{"text": text} for text in texts_of(data)]
        pieces: list[Piece] = []
        why = ReadError("it has no notes that verovio can read")
        for request in requests:
            try:
                answer = self._ask(request)
                pieces += [] if answer is None else [_piece(answer)]
            except ReadError as error:
                why = error
        if not pieces:
            raise why
        if failed := len(requests) - len(pieces):
            pieces[0] = replace(pieces[0], dropped={"tunes that can't be read": failed})
        return pieces

    def _ask(self, request: dict[str, str]) -> dict[str, Any] | None:
        """The answer to a request. Raises ReadError where verovio crashes or hangs."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode("ascii") + b"\n")
            self._process.stdin.flush()
            answer: dict[str, Any] | None = json.loads(self._line())
        except TimeoutError as error:
            self.close()
            raise ReadError(f"verovio took more than {self._limit_s:g} s to read it") from error
        except (OSError, EOFError) as error:
            self.close()
            raise ReadError("verovio crashed while it read it") from error
        return answer

    def _line(self) -> bytes:
        """A line of the answer. Raises TimeoutError or EOFError."""
        assert self._process is not None and self._process.stdout is not None
        stream, deadline = self._process.stdout.fileno(), time.monotonic() + self._limit_s
        content = bytearray()
        while not content.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([stream], [], [], left)[0]:
                raise TimeoutError
            part = os.read(stream, 2**20)
            if not part:
                raise EOFError
            content += part
        return bytes(content)


def _piece(found: dict[str, Any]) -> Piece:
    """A piece of `score_program`'s answer. Raises ReadError where it has no notes."""
    piece = read_midi(base64.b64decode(found["midi"]))
    parts = tuple(
        replace(part, notes=tuple(n._replace(end=n.end + _TICK) for n in part.notes))
        for part in piece.parts
    )
    measures = [(float(q), int(n), int(d)) for q, n, d in found["measures"]]
    return replace(
        piece,
        parts=parts,
        sections=sections_of_measures(measures, max(piece.end, measures[-1][0]) + _TICK),
        title=str(found["title"]),
        notated=True,
    )


def sections_of_measures(measures: list[tuple[float, int, int]], end: float) -> tuple[Section, ...]:
    """The sections of a score from the start and the metre of each measure; `end` of the last one.

    A measure may be a part of a bar: an upbeat, or the bar before a repeat, which is shorter by it.
    Where full measures aren't whole bars apart a new section begins, with the upbeat before it if
    that is half a bar at most. Raises ReadError for a score
    without a metre.
    """
    found: list[Section] = []
    upbeat: float | None = None  # where measures began that are shorter than a bar
    ends = [*(start for start, _, _ in measures[1:]), end]
    for (start, numerator, denominator), end_of_measure in zip(measures, ends, strict=True):
        if numerator == 0 or denominator == 0:
            raise ReadError("it has no metre")
        bar = 4 * numerator / denominator
        if found and _fits(found[-1], start, numerator, denominator):
            upbeat = start if end_of_measure - start <= bar / 2 else None
            continue
        begin = start if upbeat is None else upbeat
        if end_of_measure - start < bar - _SAME and (start, end_of_measure) != (begin, end):
            upbeat = begin
            continue
        before = (start - begin) % bar if start - begin > _SAME else 0.0
        if found:
            found[-1] = replace(found[-1], end=begin)
        found.append(Section(numerator, denominator, begin, end, before))
        upbeat = None
    return tuple(found) or (Section(*measures[0][1:], measures[0][0], end),)


def _fits(section: Section, start: float, numerator: int, denominator: int) -> bool:
    """Whether a measure is in the metre of a section and begins on one of its bar lines."""
    if (section.numerator, section.denominator) != (numerator, denominator):
        return False
    bars = (start - section.first_bar_line) / float(section.bar)
    return abs(bars - round(bars)) < _SAME
