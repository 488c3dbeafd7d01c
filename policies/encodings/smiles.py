"""SMILES as token sequences.

Bracket atoms, two-letter halogens and %nn ring closures are one token each; every episode ends
with the end token, so an unfinished SMILES cannot be mistaken for a finished one.
"""

from __future__ import annotations

from sequence_tutor.policies.encodings.tokens import TokenEncoding


class SmilesEncoding(TokenEncoding):
    """SMILES <-> int16 tokens, each sequence closed by the end token."""

    name = "smiles"
    usual_length = 100
    pattern = r"\[[^\[\]]+\]|Br|Cl|%\d\d|[A-Za-z]|\d|[=#$/\\()+\-.:~*@]"
