"""More data for the learner: another spelling of a sequence is another episode, same reward."""

from __future__ import annotations

import numpy as np

from sequence_tutor.distributed.given_parts import SpellingEncoding
from sequence_tutor.policies.encodings.base import Encoding
from sequence_tutor.rewards.base import Domain


class Respeller:
    """Lets the domain rewrite a sequence and encodes the result. Can be sent between processes."""

    def __init__(self, encoding: Encoding, domain: Domain) -> None:
        self.encoding, self.domain = encoding, domain

    def __call__(self, sequence: str, random: np.random.Generator) -> np.ndarray | None:
        """int16 [T] actions; None without a new spelling that the encoding can express."""
        if isinstance(self.encoding, SpellingEncoding):
            text = self.encoding.parts.spell(sequence, random)
        else:
            text = self.domain.rewrite(sequence, random)
        if text is None:
            return None
        try:
            tokens = self.encoding.encode(text)
        except ValueError:  # a token that the vocabulary lacks
            return None
        return tokens if len(tokens) <= self.encoding.max_length else None
