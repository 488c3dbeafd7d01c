"""Free data: the same molecule spelled differently is another trajectory with the same reward."""

from __future__ import annotations

import numpy as np

from sequence_tutor.policies.encodings.base import Encoding
from sequence_tutor.rewards.base import Domain


class Respeller:
    """Rewrites a sequence by its domain and encodes the result. Can be sent between processes."""

    def __init__(self, encoding: Encoding, domain: Domain) -> None:
        self.encoding, self.domain = encoding, domain

    def __call__(self, sequence: str, random: np.random.Generator) -> np.ndarray | None:
        """int16 [T], or None where the new spelling doesn't exist or fit the encoding."""
        text = self.domain.rewrite(sequence, random)
        if text is None:
            return None
        try:
            tokens = self.encoding.encode(text)
        except ValueError:  # a token that the vocabulary lacks
            return None
        return tokens if len(tokens) <= self.encoding.max_length else None
