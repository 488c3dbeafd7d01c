"""The melody of a file as the beginning of new ones."""

from __future__ import annotations

from pathlib import Path

from sequence_tutor.policies.melody_time import Time
from sequence_tutor.policies.melody_tokens import HOLD, TOKENS
from sequence_tutor.policies.pieces.melody import melody_of
from sequence_tutor.policies.pieces.piece import ReadError
from sequence_tutor.policies.pieces.read import is_music, read_pieces
from sequence_tutor.policies.pieces.scores import Scores


def is_start_file(text: str) -> bool:
    """Whether a start is the name of a file of music."""
    return is_music(Path(text).name)


def read_start(path: Path, time: Time, transpose: bool = False) -> str:
    """The text of the first melody of a file: whole, with its header, from the bar line before its
    first note to the end of its last one. Without `transpose` it keeps its key and is moved by
    octaves only, where it lies outside the tokens. Raises ValueError that names the file.
    """
    try:
        with Scores() as scores:
            piece = read_pieces(path.name, path.read_bytes(), scores)[0]
        melody = melody_of(piece, time, transpose, whole=True)
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}") from None
    except (ReadError, OSError) as error:
        raise ValueError(f"{path}: {error}") from error
    if not melody.segments:
        metres = " and ".join(melody.other_metres) or time.metre
        raise ValueError(f"{path} has no notes in {time.metre}; it is in {metres}")
    tokens = melody.segments[0].tolist()
    silent = len(tokens) - 1
    while tokens[silent] == HOLD:
        silent -= 1
    if TOKENS[tokens[silent]] == ".":  # silence after the last note
        tokens = tokens[:silent]
    return time.header + "".join(TOKENS[token] for token in tokens)
