"""The melody of a file as a given part of new ones: their beginning, or all of it."""

from __future__ import annotations

from pathlib import Path

from sequence_tutor.policies.melody_time import Time
from sequence_tutor.policies.melody_tokens import FIRST_NOTE, HOLD, TOKENS
from sequence_tutor.policies.pieces.melody import Melody, melody_of
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
    tokens = _melody(path, time, transpose).segments[0].tolist()
    silent = len(tokens) - 1
    while tokens[silent] == HOLD:
        silent -= 1
    if TOKENS[tokens[silent]] == ".":  # silence after the last note
        tokens = tokens[:silent]
    return _text(tokens, time)


def read_whole(path: Path, time: Time) -> str:
    """The text of a file's melody in whole bars, with its header, in its own key or octaves beside
    it. Ornaments are left out. Raises ValueError that names the file, also where a note doesn't fit
    the tokens or another metre is in the file: what is left out then couldn't be kept.
    """
    melody = _melody(path, time, transpose=False)
    if melody.other_metres or len(melody.segments) > 1:
        metres = " and ".join((time.metre, *melody.other_metres))
        raise ValueError(
            f"{path} is in {metres}, one after the other: give a file of one part in {time.metre}"
        )
    if melody.out_of_range:
        raise ValueError(
            f"{path}: {melody.out_of_range} of {melody.notes} notes are lower than "
            f"{TOKENS[FIRST_NOTE]} or higher than {TOKENS[-1]}, in whatever octave it is played"
        )
    if melody.moved or melody.collided:
        raise ValueError(
            f"{path}: {melody.moved + melody.collided} of {melody.notes} notes don't begin on a "
            f"step of the prior's grid, {time.grid} steps a quarter note: quantise the file, or "
            "use a prior of another grid"
        )
    return _text(melody.segments[0].tolist(), time)


def _text(tokens: list[int], time: Time) -> str:
    return time.header + "".join(TOKENS[token] for token in tokens)


def _melody(path: Path, time: Time, transpose: bool) -> Melody:
    """The melody of a file, with at least one segment. Raises ValueError that names the file."""
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
    return melody
