"""What a compiled reward needs of molecules; importing it registers their components."""

from __future__ import annotations

from collections.abc import Sequence

from sequence_tutor.rewards.molecules import objective, properties
from sequence_tutor.rewards.molecules.molecule import Molecule, parse, quiet
from sequence_tutor.rewards.molecules.molecule import tokens_of as split

__all__ = ["objective", "properties", "quiet", "read", "split"]


def read(sequence: str, tokens: Sequence[str]) -> Molecule | None:
    """The molecule of a SMILES, None where it isn't valid."""
    mol = parse(sequence)
    return None if mol is None else Molecule(sequence, mol, tokens)
