"""Molecules as SELFIES symbols: every episode is a molecule, since each symbol means what fits.

The sequences are SMILES, as everywhere; only the tokens differ. What a symbol means depends on
those before it, so parts of the text can't be given (see `template`). Needs the package `selfies`,
the extra of the same name (Krenn et al. 2020, https://doi.org/10.1088/2632-2153/aba947).
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

import numpy as np

from sequence_tutor.policies.encodings.base import Encoding
from sequence_tutor.policies.encodings.tokens import END
from sequence_tutor.policies.encodings.vocabulary import Vocabulary


class SelfiesEncoding(Encoding):
    """SMILES <-> int16 tokens, each a SELFIES symbol, closed by the end token. Raises ValueError
    where the package isn't installed."""

    name = "selfies"
    usual_length = 100
    joins_texts = False

    def __init__(self, vocabulary: Vocabulary, max_length: int) -> None:
        _package()
        super().__init__(vocabulary, max_length)

    @classmethod
    def fit(cls, corpus: Iterable[str], max_length: int | None = None) -> SelfiesEncoding:
        """Take the vocabulary from SMILES: the end token, then their symbols, sorted."""
        symbols = {symbol for smiles in corpus for symbol in _symbols(smiles)}
        return cls(Vocabulary((END, *sorted(symbols)), end_id=0), max_length or cls.usual_length)

    def encode(self, sequence: str) -> np.ndarray:
        """Return int16 [T], end token included. Raises ValueError for what SELFIES can't express
        and for symbols that the vocabulary lacks."""
        ids = self.vocabulary.encode(_symbols(sequence), sequence)
        return np.array([*ids, self.vocabulary.end_id], dtype=np.int16)

    def decode(self, tokens: np.ndarray) -> str:
        """Return the SMILES of the symbols before the end token."""
        ids = tokens.tolist()
        if self.vocabulary.end_id in ids:
            ids = ids[: ids.index(self.vocabulary.end_id)]
        return str(_package().decoder("".join(self.vocabulary.decode(ids))))


def _package() -> ModuleType:
    try:
        import selfies
    except ImportError as error:
        raise ValueError(
            "encoding 'selfies' needs the package selfies: pip install 'sequence-tutor[selfies]'"
        ) from error
    return selfies  # type: ignore[no-any-return]


def _symbols(smiles: str) -> list[str]:
    package = _package()
    try:
        return list(package.split_selfies(package.encoder(smiles)))
    except package.EncoderError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"SELFIES can't express {smiles!r}: {reason}") from error
