"""Stereoisomers of molecules that leave their stereochemistry open."""

from __future__ import annotations

from typing import Any

from rdkit import Chem
from rdkit.Chem.EnumerateStereoisomers import (
    EnumerateStereoisomers,
    StereoEnumerationOptions,
)

from sequence_tutor.rewards.molecules.identity import identify, read


def stereoisomers(smiles: str, most: int) -> list[str]:
    """Up to `most` different stereoisomers, as keys, by what the molecule doesn't specify; none
    where it specifies all. The same molecule always has the same ones."""
    mol = read(smiles)[0]
    if mol is None or not _open_places(mol):
        return []
    options = StereoEnumerationOptions(  # type: ignore[no-untyped-call]
        maxIsomers=most, onlyUnassigned=True, unique=True, rand=0
    )
    found = EnumerateStereoisomers(mol, options=options)  # type: ignore[no-untyped-call]
    keys = (identify(Chem.MolToSmiles(isomer)).key for isomer in found)
    return list(dict.fromkeys(key for key in keys if key is not None))


def _open_places(mol: Any) -> int:
    """How many centres and double bonds have no stereochemistry though they could."""
    places = Chem.FindPotentialStereo(mol)
    return sum(one.specified == Chem.StereoSpecified.Unspecified for one in places)
