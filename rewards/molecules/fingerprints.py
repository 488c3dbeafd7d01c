"""Fingerprints of molecules by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator, rdMolDescriptors

from sequence_tutor.rewards.molecules.pharmacophores import NUMBERS, pharmacophores

BITS = 2048
Generator = Any


@cache
def morgan(
    radius: int, features: bool = False, bits: int = BITS, chirality: bool = False
) -> Generator:
    """The Morgan fingerprint generator for a radius: radius 2 gives ECFP4, or FCFP4 with
    `features`, where an atom counts by its role (donor, acceptor, ...) and not by its element."""
    kind = {}
    if features:
        kind["atomInvariantsGenerator"] = rdFingerprintGenerator.GetMorganFeatureAtomInvGen()
    return rdFingerprintGenerator.GetMorganGenerator(
        radius=radius, fpSize=bits, includeChirality=chirality, **kind
    )


@cache
def atom_pairs(distance: int = 10, bits: int = BITS, chirality: bool = False) -> Generator:
    """The generator of pairs of atoms with the bonds between them, at most `distance` (Carhart et
    al. 1985)."""
    return rdFingerprintGenerator.GetAtomPairGenerator(
        maxDistance=distance, fpSize=bits, includeChirality=chirality
    )


@cache
def paths(bits: int = BITS, longest: int = 7) -> Generator:
    """The generator of RDKit's paths and branched fragments of 1 to `longest` bonds."""
    return rdFingerprintGenerator.GetRDKitFPGenerator(maxPath=longest, fpSize=bits)


def maccs(mol: Chem.Mol) -> Any:
    """The MACCS keys, 167 bits, of which the first is always 0."""
    return rdMolDescriptors.GetMACCSKeysFingerprint(mol)


def _pharmacophore_bits(mol: Chem.Mol) -> Any:
    """A bit for each pair and triple of pharmacophores that occurs."""
    bits = DataStructs.SparseBitVect(NUMBERS)
    bits.SetBitsFromList(pharmacophores(mol).tolist())
    return bits


# Name -> generator for a radius, which only some use.
GENERATORS: dict[str, Callable[[int], Generator]] = {
    "morgan": morgan,
    "fcfp": lambda radius: morgan(radius, True),
    "atom_pairs": lambda _: atom_pairs(),
    "topological": lambda _: paths(),
}
# Name -> fingerprint of a molecule; these have neither a radius nor counts.
KEYS: dict[str, Callable[[Chem.Mol], Any]] = {
    "maccs": maccs,
    "pharmacophores": _pharmacophore_bits,
}
FINGERPRINTS = (*GENERATORS, *KEYS)


def fingerprint(mol: Chem.Mol, name: str, radius: int, counts: bool, folded: bool) -> Any:
    """Sparse counts, or 2048 bits, or with `folded` false a sparse vector with a bit for each
    fragment; of KEYS always a bit for each key."""
    if name in KEYS:
        return KEYS[name](mol)
    generator = GENERATORS[name](radius)
    if counts:
        return generator.GetSparseCountFingerprint(mol)
    return generator.GetFingerprint(mol) if folded else generator.GetSparseFingerprint(mol)
