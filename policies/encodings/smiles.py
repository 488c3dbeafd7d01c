"""SMILES as token sequences.

Bracket atoms, two-letter halogens and %nn ring closures are one token each; every episode ends
with the end token, so an unfinished SMILES cannot be mistaken for a finished one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np

from sequence_tutor.policies.encodings.base import Encoding
from sequence_tutor.policies.encodings.vocabulary import Vocabulary

END = "<end>"
_TOKEN = re.compile(r"\[[^\[\]]+\]|Br|Cl|%\d\d|[A-Za-z]|\d|[=#$/\\()+\-.:~*@]")


def tokenize(smiles: str) -> list[str]:
    """Split SMILES into tokens. Raises ValueError naming the first character that fits no token."""
    tokens = _TOKEN.findall(smiles)
    if sum(map(len, tokens)) != len(smiles):
        position = 0
        for match in _TOKEN.finditer(smiles):
            if match.start() != position:
                break
            position = match.end()
        raise ValueError(f"{smiles!r} is not SMILES at character {position + 1}")
    return tokens


class SmilesEncoding(Encoding):
    """SMILES <-> int16 tokens, each sequence closed by the end token."""

    name = "smiles"
    usual_length = 100

    @classmethod
    def fit(cls, corpus: Iterable[str], max_length: int | None = None) -> SmilesEncoding:
        """Take the vocabulary from a corpus: the end token, then the corpus's tokens, sorted."""
        counts: Counter[str] = Counter()
        for smiles in corpus:
            counts.update(tokenize(smiles))
        return cls(Vocabulary((END, *sorted(counts)), end_id=0), max_length or cls.usual_length)

    def encode(self, sequence: str) -> np.ndarray:
        """Return int16 [T], end token included. Raises ValueError for tokens it doesn't have."""
        ids = self.vocabulary.encode(tokenize(sequence), sequence)
        return np.array([*ids, self.vocabulary.end_id], dtype=np.int16)

    def decode(self, tokens: np.ndarray) -> str:
        """Return the SMILES of the actions before the end token."""
        ids = tokens.tolist()
        if self.vocabulary.end_id in ids:
            ids = ids[: ids.index(self.vocabulary.end_id)]
        return "".join(self.vocabulary.decode(ids))
