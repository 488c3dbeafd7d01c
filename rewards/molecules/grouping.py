"""What molecules may share: a scaffold, all but their stereochemistry, or most fragments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from sequence_tutor.rewards.buckets import Compare, Grouping
from sequence_tutor.rewards.molecules.fingerprints import morgan
from sequence_tutor.rewards.molecules.identity import read
from sequence_tutor.rewards.molecules.measures.rings import scaffold

GROUPINGS = {
    "murcko_scaffold": Grouping("the same Murcko scaffold"),
    "topological_scaffold": Grouping(
        "the same Murcko scaffold with all atoms carbon and all bonds single"
    ),
    "similar_scaffold": Grouping("Murcko scaffolds of similar atom pairs", similar=True),
    "similar_molecule": Grouping("similar ECFP4 fingerprints", similar=True),
    "same_molecule": Grouping(
        "all but stereochemistry and isotopes",
        bucket_size=1,
        min_score=0.0,
        penalty_multiplier=0.5,
    ),
}


def group_of(key: str, kind: str) -> str:
    """The group of a valid molecule, a key, as SMILES: "" is the scaffold of all without rings. A
    molecule of which RDKit can't make a scaffold is a group of its own."""
    if kind == "similar_molecule" or (mol := read(key)[0]) is None:
        return key
    if kind == "same_molecule":
        for atom in mol.GetAtoms():
            atom.SetIsotope(0)
        return str(Chem.MolToSmiles(Chem.RemoveHs(mol), isomericSmiles=False))  # deuterium is H now
    try:
        return scaffold(mol, generic=kind == "topological_scaffold")
    except (RuntimeError, ValueError):  # an atom whose valence fits only the whole molecule
        return key


@cache
def _atom_pairs() -> Any:
    """Counts of all pairs of atoms with the bonds between them (Carhart et al. 1985)."""
    return rdFingerprintGenerator.GetAtomPairGenerator(maxDistance=30)


def _scaffold_print(group: str) -> Any:
    mol = Chem.MolFromSmiles(group)
    # a scaffold that can't be read back is like no other
    return _atom_pairs().GetSparseCountFingerprint(Chem.Mol() if mol is None else mol)


def _molecule_print(group: str) -> Any:
    mol = read(group)[0]
    return morgan(2).GetFingerprint(Chem.Mol() if mol is None else mol)


def compare_by(kind: str) -> Compare:
    """Compares groups of a kind whose groups may be similar: scaffolds by the Dice coefficient of
    their atom pairs, molecules by the Tanimoto coefficient of ECFP4."""
    if kind == "similar_scaffold":
        return _Comparison(_scaffold_print, DataStructs.BulkDiceSimilarity)
    return _Comparison(_molecule_print, DataStructs.BulkTanimotoSimilarity)


class _Comparison:
    """Keeps the fingerprint of every group that it has seen."""

    def __init__(
        self, make: Callable[[str], Any], bulk: Callable[[Any, list[Any]], Sequence[float]]
    ) -> None:
        self._make, self._bulk = make, bulk
        self._prints: dict[str, Any] = {}

    def __call__(self, group: str, others: Sequence[str]) -> NDArray[np.float64]:
        found = self._prints
        for one in (group, *others):
            if one not in found:
                found[one] = self._make(one)
        return np.array(self._bulk(found[group], [found[other] for other in others]), np.float64)
