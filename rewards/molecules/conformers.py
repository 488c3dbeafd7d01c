"""Conformers of a molecule, the same in every run and in every process."""

from __future__ import annotations

from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

# Any fixed number would do; this one is RDKit's in its own examples, and REINVENT's.
SEED = 0xF00D


def conformers(mol: Chem.Mol, count: int = 1) -> Chem.Mol:
    """A copy with hydrogen atoms and `count` conformers by distance geometry, numbered from 0.

    Raises ValueError where RDKit finds fewer. Its method is ETKDG (Riniker and Landrum 2015,
    https://doi.org/10.1021/acs.jcim.5b00654).
    """
    with rdBase.BlockLogs():
        whole = Chem.AddHs(mol)
        found = rdDistGeom.EmbedMultipleConfs(whole, numConfs=count, randomSeed=SEED)
    if len(found) < count:
        raise ValueError(f"RDKit finds {len(found)} of {count} conformers")
    return whole
