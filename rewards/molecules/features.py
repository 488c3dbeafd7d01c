"""Counts of fragments and properties, by which a model compares molecules."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator, rdMolDescriptors

from sequence_tutor.rewards.molecules.fingerprints import BITS, morgan
from sequence_tutor.rewards.molecules.identity import identify

# Numbers that `properties` returns.
PROPERTIES = 22
# Elements that are counted, by their number; the others together have a place of their own.
ELEMENTS = (5, 6, 7, 8, 9, 14, 15, 16, 17, 35, 53)
# Steps of a count per log unit of the partition coefficient, and the least value that has any;
# steps per square angstrom of polar surface. About as many as there are atoms, so that neither
# outweighs the other properties.
LOGP_STEPS, LEAST_LOGP, TPSA_STEPS = 4.0, -5.0, 0.2
# Weight of a ring: it changes a molecule as much as several atoms do.
RING_STEPS = 3


@cache
def _atom_pairs() -> Any:
    return rdFingerprintGenerator.GetAtomPairGenerator(fpSize=BITS)


def molecule_counts(smiles: Sequence[str]) -> list[np.ndarray]:
    """Counts of Morgan environments of radius 2, of atom pairs, and of environments of atoms by
    their role, each uint8 [B,2048]; and `properties`, uint8 [B,F]. Above 255 they are 255.
    Stereochemistry makes no difference. Raises ValueError for a SMILES that isn't valid.

    Environments: Rogers and Hahn 2010, J. Chem. Inf. Model. 50, 742. Pairs: Carhart et al. 1985,
    J. Chem. Inf. Comput. Sci. 25, 64.
    """
    generators = morgan(2), _atom_pairs(), morgan(2, features=True)
    blocks = [np.zeros((len(smiles), BITS), np.uint8) for _ in generators]
    numbers = []
    for row, text in enumerate(smiles):
        mol = identify(text).mol  # cached where the molecule was just made
        if mol is None:
            raise ValueError(f"{text[:60]!r} is not a valid molecule")
        for block, generator in zip(blocks, generators, strict=True):
            block[row] = np.minimum(generator.GetCountFingerprintAsNumPy(mol), 255)
        numbers.append(properties(mol))
    whole = np.rint(np.array(numbers, np.float64).reshape(len(smiles), PROPERTIES))
    return [*blocks, np.clip(whole, 0, 255).astype(np.uint8)]


def properties(mol: Chem.Mol) -> list[float]:
    """What rewards often are made of, and fragments tell only in sum: atoms of each element and
    hydrogen, rings, rotatable bonds, donors, acceptors, sp3 carbons, charges, log P, polar surface;
    each in steps of about equal weight."""
    counts = dict.fromkeys(ELEMENTS, 0)
    others = hydrogens = charges = saturated = 0
    for atom in mol.GetAtoms():
        number = atom.GetAtomicNum()
        if number in counts:
            counts[number] += 1
        else:
            others += 1
        hydrogens += atom.GetTotalNumHs()
        charges += atom.GetFormalCharge() != 0
        saturated += number == 6 and atom.GetHybridization() == Chem.HybridizationType.SP3
    logp = rdMolDescriptors.CalcCrippenDescriptors(mol)[0]
    return [
        *counts.values(),
        others,
        hydrogens,
        charges,
        saturated,
        RING_STEPS * rdMolDescriptors.CalcNumAromaticRings(mol),
        RING_STEPS * rdMolDescriptors.CalcNumAliphaticRings(mol),
        rdMolDescriptors.CalcNumRotatableBonds(mol),
        rdMolDescriptors.CalcNumHBD(mol),
        rdMolDescriptors.CalcNumHBA(mol),
        LOGP_STEPS * max(0.0, logp - LEAST_LOGP),
        TPSA_STEPS * rdMolDescriptors.CalcTPSA(mol),
    ]
