"""Melodies as token sequences: one token per step, a sixteenth note (a quarter note is 4 steps).

    token       text              meaning
    0           -                 hold: a sounding note goes on, silence goes on
    1           .                 note off
    2..37       C3, C#3, ... B5   note on, MIDI pitch 48..83

The text of a melody is its tokens' texts without separators ("C4---D4---E4-------.---"); each text
stands for exactly one row of tokens. There is no end token: every episode has the same length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from sequence_tutor.policies.encodings.base import FOLDER, Encoding
from sequence_tutor.policies.encodings.vocabulary import Vocabulary
from sequence_tutor.policies.files.corpus import Corpus

HOLD, OFF, FIRST_NOTE = 0, 1, 2
LOW, HIGH = 48, 83  # MIDI pitches of the first and the last note-on
STEPS_PER_QUARTER = 4

_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
TOKENS = ("-", ".", *(f"{_CLASSES[p % 12]}{p // 12 - 1}" for p in range(LOW, HIGH + 1)))
_TOKEN = re.compile("|".join(map(re.escape, TOKENS)))


def tokenize(melody: str) -> list[str]:
    """Split a melody into tokens. Raises ValueError naming the first character that isn't one's."""
    tokens: list[str] = []
    position = 0
    while position < len(melody):
        match = _TOKEN.match(melody, position)
        if match is None:
            raise ValueError(f"{melody!r} is not a melody at character {position + 1}")
        tokens.append(match.group())
        position = match.end()
    return tokens


class MelodyEncoding(Encoding):
    """Melody <-> int16 tokens. `max_length` is the length of every episode, in steps."""

    name = "melody"
    own_files = (".mid", ".midi", ".zip", FOLDER)
    usual_length = 32

    @classmethod
    def fit(cls, corpus: Iterable[str], max_length: int | None = None) -> MelodyEncoding:
        """Return the encoding with the fixed vocabulary, which doesn't depend on the corpus."""
        return cls(Vocabulary(TOKENS, end_id=None), max_length or cls.usual_length)

    @classmethod
    def read(
        cls,
        path: Path,
        check: Callable[[str], str | None],
        max_length: int | None = None,
        column: str | None = None,
    ) -> Corpus:
        """Read windows of `max_length` steps from MIDI (folder, .zip or file), or lines of text."""
        from sequence_tutor.policies.midi.corpus import is_midi, read_midi_corpus  # slow import

        if is_midi(path):
            return read_midi_corpus(path, check, max_length or cls.usual_length)
        return super().read(path, check, max_length, column)

    def encode(self, sequence: str) -> np.ndarray:
        """Return int16 [T]. Raises ValueError naming the first character that isn't a token's."""
        return np.array(self.vocabulary.encode(tokenize(sequence), sequence), dtype=np.int16)

    def decode(self, tokens: np.ndarray) -> str:
        return "".join(self.vocabulary.decode(tokens.tolist()))
