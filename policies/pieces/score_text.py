"""The text of a score as verovio reads it best; an ABC file becomes one text for each tune."""

from __future__ import annotations

import codecs
import re

_TUNE = re.compile(r"^X:", re.MULTILINE)  # what each tune of an ABC file begins with
_FIELD = re.compile(r"[A-Za-z+]:")  # at the start of a line: metre, key, title ...
_NOT_MUSIC = ("w:", "W:", "s:", "+:", "N:", "H:", "%%")  # words and remarks
# What a melody doesn't need: chord symbols and remarks in quotes, grace notes, ornaments by name,
# comments, and slurs, but not the "(3" of a triplet.
_DECORATION = re.compile(r'"[^"]*"|\{[^}]*\}|![^!\s]*!|%.*|\((?!\d)|\)')

_NOTE = r"\s*[.~HLMOPSTuv]*(?:[\^_=]*[A-Ga-gxz][,']*|\[[A-Ga-g,'\^_=\d/]+\])[\d/]*[<>]*"
_TUPLET = re.compile(rf"\((\d)(?::\d*){{0,2}}((?:{_NOTE})+)")


def texts_of(data: bytes) -> list[str]:
    """The text of a file, or those of its tunes where it is ABC."""
    text = _decoded(data).replace("\r\n", "\n").replace("\r", "\n")
    starts = (
        [] if text.lstrip().startswith(("<", "!")) else [m.start() for m in _TUNE.finditer(text)]
    )
    if not starts:
        return [text]
    # fields before the first tune hold for all of them
    common = [line for line in text[: starts[0]].split("\n") if _FIELD.match(line)]
    ends = [*starts[1:], len(text)]
    return [_tune(text[a:b], common) for a, b in zip(starts, ends, strict=True)]


def _decoded(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", errors="replace")
        return text.replace("UTF-16", "UTF-8", 1)  # in the first line; verovio takes UTF-8
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _tune(text: str, common: list[str]) -> str:
    """A tune without what isn't its melody; its number comes first."""
    number, *lines = text.strip().split("\n")
    music = [
        line if _FIELD.match(line) else _apart(_DECORATION.sub("", line))
        for line in lines
        if not line.startswith(_NOT_MUSIC)
    ]
    return "\n".join([number, *common, *filter(str.strip, music)]) + "\n"


def _apart(line: str) -> str:
    """A line of music with spaces around tuplets: under one beam with one, verovio shortens other
    notes too."""

    def spaced(match: re.Match[str]) -> str:
        start = match.start(2)
        ends = [note.end() for note in re.finditer(_NOTE, match[2])]
        last = ends[min(int(match[1]), len(ends)) - 1] if int(match[1]) else 0
        opening = match.string[match.start() : start]
        return f" {opening}{match[2][:last]} {match[2][last:]}"

    return _TUPLET.sub(spaced, line)
