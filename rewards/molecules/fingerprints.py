"""Fingerprints of molecules by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator, rdMolDescriptors

BITS = 2048
Generator = Any


@cache
def morgan(radius: int, features: bool = False) -> Generator:
    """The Morgan fingerprint generator for a radius, 2048 bits: radius 2 gives ECFP4, or FCFP4 with
    `features`, where an atom counts by its role (donor, acceptor, ...) and not by its element."""
    kind = {}
    if features:
        kind["atomInvariantsGenerator"] = rdFingerprintGenerator.GetMorganFeatureAtomInvGen()
    return rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=BITS, **kind)


@cache
def atom_pairs() -> Generator:
    """The generator of pairs of atoms with the bonds between them, at most 10 (Carhart et al.
    1985)."""
    return rdFingerprintGenerator.GetAtomPairGenerator(maxDistance=10, fpSize=BITS)


@cache
def paths() -> Generator:
    """The generator of RDKit's paths and branched fragments of 1 to 7 bonds."""
    return rdFingerprintGenerator.GetRDKitFPGenerator(fpSize=BITS)


# Name -> generator for a radius, which only some use; None for MACCS keys, which have none.
FINGERPRINTS: dict[str, Callable[[int], Generator] | None] = {
    "morgan": morgan,
    "fcfp": lambda radius: morgan(radius, True),
    "atom_pairs": lambda _: atom_pairs(),
    "maccs": None,
    "topological": lambda _: paths(),
}


def fingerprint(mol: Chem.Mol, name: str, radius: int, counts: bool, folded: bool) -> Any:
    """Sparse counts, or 2048 bits, or with `folded` false a sparse vector with a bit for each
    fragment; of "maccs" always its 167 bits."""
    make = FINGERPRINTS[name]
    if make is None:
        return rdMolDescriptors.GetMACCSKeysFingerprint(mol)
    generator = make(radius)
    if counts:
        return generator.GetSparseCountFingerprint(mol)
    return generator.GetFingerprint(mol) if folded else generator.GetSparseFingerprint(mol)
