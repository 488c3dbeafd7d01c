"""How people see a sequence in a report: pictures, sound, files and remarks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NamedFile:
    """A file that a reader may take from the report."""

    name: str
    """What it is called, such as "melody.mid"."""
    media_type: str
    """Such as "audio/midi"."""
    content: bytes
    """What is in it."""


@dataclass(frozen=True)
class Picture:
    """A drawing."""

    svg: str
    """An SVG element that stands alone: no script, no style sheet, no link to outside. Lines and
    letters have the color `currentColor` where the page may choose it."""
    text: str
    """What it shows, for people who can't see it."""
    title: str = ""
    """A heading; "" for the first picture, which needs none."""


@dataclass(frozen=True)
class Depiction:
    """What a report shows of one sequence."""

    pictures: tuple[Picture, ...] = ()
    """Drawings, the most telling one first."""
    remarks: tuple[str, ...] = ()
    """What is to be said of it, such as the alerts or the rules that it breaks; one line each."""
    sound: bytes = b""
    """A WAV file; empty for what isn't heard."""
    files: tuple[NamedFile, ...] = ()
    """Files to take along."""
