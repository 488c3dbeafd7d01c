"""The encoding of melodies: tokens as in `melody_tokens`, read from MIDI or text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from sequence_tutor.policies.encodings.base import FOLDER, Encoding
from sequence_tutor.policies.encodings.vocabulary import Vocabulary
from sequence_tutor.policies.files.corpus import Corpus
from sequence_tutor.policies.melody_tokens import TOKENS, tokenize


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
