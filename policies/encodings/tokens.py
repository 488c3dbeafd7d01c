"""Encodings that need no code of their own: a pattern for tokens, or an alphabet of characters.

A subclass names it and gives the pattern or the alphabet:

    class PeptideEncoding(CharacterEncoding):
        name, alphabet, usual_length = "peptide", "ACDEFGHIKLMNPQRSTVWY", 50
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import ClassVar, Self

import numpy as np

from sequence_tutor.policies.encodings.base import Encoding
from sequence_tutor.policies.encodings.vocabulary import Vocabulary

END = "<end>"


class TokenEncoding(Encoding):
    """Texts as the tokens that a pattern finds, closed by an end token, so that an unfinished
    sequence can't be mistaken for a finished one. The vocabulary is that of the corpus."""

    pattern: ClassVar[str]
    """Regular expression of one token; a text is valid if its tokens follow without a gap."""

    @classmethod
    def tokenize(cls, sequence: str) -> list[str]:
        """Split a text. Raises ValueError naming the first character that fits no token."""
        position, tokens = 0, []
        for match in re.finditer(cls.pattern, sequence):
            if match.start() != position or match.end() == position:
                break
            tokens.append(match.group())
            position = match.end()
        if position != len(sequence):
            raise ValueError(f"{sequence!r} is not {cls.name} at character {position + 1}")
        return tokens

    @classmethod
    def fit(cls, corpus: Iterable[str], max_length: int | None = None) -> Self:
        """Take the vocabulary from a corpus: the end token, then the corpus's tokens, sorted."""
        counts: Counter[str] = Counter()
        for sequence in corpus:
            counts.update(cls.tokenize(sequence))
        return cls(Vocabulary((END, *sorted(counts)), end_id=0), max_length or cls.usual_length)

    def encode(self, sequence: str) -> np.ndarray:
        """Return int16 [T], end token included. Raises ValueError for tokens it doesn't have."""
        ids = self.vocabulary.encode(self.tokenize(sequence), sequence)
        return np.array([*ids, self.vocabulary.end_id], dtype=np.int16)

    def decode(self, tokens: np.ndarray) -> str:
        """Return the text of the actions before the end token."""
        ids = tokens.tolist()
        if self.vocabulary.end_id in ids:
            ids = ids[: ids.index(self.vocabulary.end_id)]
        return "".join(self.vocabulary.decode(ids))


class CharacterEncoding(TokenEncoding):
    """Texts of the characters of an alphabet, closed by an end token. The vocabulary is the
    alphabet, also where a corpus lacks some of it."""

    alphabet: ClassVar[str]
    """The characters, each once."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "alphabet" in vars(cls):
            cls.pattern = f"[{re.escape(cls.alphabet)}]"

    @classmethod
    def fit(cls, corpus: Iterable[str], max_length: int | None = None) -> Self:
        """Return the encoding; raises ValueError for a corpus with other characters."""
        for sequence in corpus:
            cls.tokenize(sequence)
        vocabulary = Vocabulary((END, *cls.alphabet), end_id=0)
        return cls(vocabulary, max_length or cls.usual_length)
