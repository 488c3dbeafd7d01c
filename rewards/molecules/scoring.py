"""The functions that a compiled reward calls for molecules; importing this registers components."""

from __future__ import annotations

from collections.abc import Sequence

from sequence_tutor.rewards.base import Identity
from sequence_tutor.rewards.molecules import paper_objective as objective
from sequence_tutor.rewards.molecules import properties
from sequence_tutor.rewards.molecules.identity import identify as identified
from sequence_tutor.rewards.molecules.molecule import Molecule, quiet
from sequence_tutor.rewards.molecules.molecule import tokens_of as split

__all__ = ["identify", "objective", "properties", "quiet", "read", "split"]


def read(sequence: str, tokens: Sequence[str]) -> Molecule | None:
    """The molecule of a SMILES; None where it isn't valid."""
    mol = identified(sequence).mol
    return None if mol is None else Molecule(sequence, mol, tokens)


def identify(sequence: str) -> Identity:
    """The key of a SMILES, or why it isn't valid."""
    found = identified(sequence)
    return Identity(found.key, found.reason)
