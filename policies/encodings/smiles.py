"""SMILES as token sequences.

Bracket atoms, two-letter halogens and %nn ring closures are one token each; every episode ends
with the end token, so an unfinished SMILES cannot be mistaken for a finished one.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from sequence_tutor.policies.encodings.constraint import Constraint, Free
from sequence_tutor.policies.encodings.smiles_gap import SmilesGap
from sequence_tutor.policies.encodings.tokens import TokenEncoding


class SmilesEncoding(TokenEncoding):
    """SMILES <-> int16 tokens, each sequence closed by the end token."""

    name = "smiles"
    usual_length = 100
    pattern = r"\[[^\[\]]+\]|Br|Cl|%\d\d|[A-Za-z]|\d|[=#$/\\()+\-.:~*@]"

    @property
    def grammar(self) -> Constraint:
        """What may follow the beginning of a SMILES: rings and branches end, and no atom has more
        bonds than it may have. A molecule of several parts isn't allowed."""
        return self._grammar

    @cached_property
    def _grammar(self) -> Constraint:
        vocabulary = self.vocabulary
        rules = SmilesGap(vocabulary.tokens, frozenset(), goes_on=False)
        whole = Free(rules, vocabulary.end_id, last=True)
        return Constraint([whole], vocabulary, self.max_length)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the grammar, which is built again where it is needed."""
        return {k: v for k, v in self.__dict__.items() if k != "_grammar"}
