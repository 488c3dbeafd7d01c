"""The pieces of a file, whatever its format."""

from __future__ import annotations

from pathlib import PurePosixPath

from sequence_tutor.policies.pieces.midi import read_midi
from sequence_tutor.policies.pieces.midi_repair import MAX_BYTES
from sequence_tutor.policies.pieces.piece import Piece, ReadError
from sequence_tutor.policies.pieces.scores import Scores
from sequence_tutor.policies.pieces.suffixes import PACKED_SCORES, SCORES, SUFFIXES


def read_pieces(name: str, data: bytes, scores: Scores) -> list[Piece]:
    """The pieces of a file's content; its name says the format. Raises ReadError."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in SCORES:
        return [read_midi(data)]
    if not data:
        raise ReadError("it is empty")
    if len(data) > MAX_BYTES:
        raise ReadError(f"it has more than {MAX_BYTES // 2**20} MiB")
    return scores.read(data, suffix in PACKED_SCORES)


def is_music(name: str) -> bool:
    """Whether a file of this name is read, and isn't hidden."""
    path = PurePosixPath(name)
    hidden = any(p == "__MACOSX" or (p.startswith(".") and p != "..") for p in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden
