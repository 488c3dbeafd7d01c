"""The pieces of a file, whatever its format."""

from __future__ import annotations

from pathlib import PurePosixPath

from sequence_tutor.policies.pieces.midi import read_midi
from sequence_tutor.policies.pieces.piece import Piece
from sequence_tutor.policies.pieces.suffixes import SUFFIXES


def read_pieces(name: str, data: bytes) -> list[Piece]:
    """The pieces of a file's content; its name says the format. Raises ReadError."""
    return [read_midi(data)]


def is_music(name: str) -> bool:
    """Whether a file of this name is read, and isn't hidden."""
    path = PurePosixPath(name)
    hidden = any(p == "__MACOSX" or (p.startswith(".") and p != "..") for p in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden
