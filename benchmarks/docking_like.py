"""A reward with the shape of a docking score, without a docking program.

The score is in the tens and negative, like an energy that is wrong by a constant; a molecule that
doesn't fit costs more with each atom, without a bound; and few of the prior's molecules are far
better than the others. The reward is minus the score, as for `--lower-is-better`.
"""

from __future__ import annotations

import math
from functools import cache

from rdkit import Chem
from rdkit.Chem import Crippen, rdFingerprintGenerator, rdMolDescriptors
from rdkit.DataStructs import ExplicitBitVect, TanimotoSimilarity

LIGAND = "Cc1ccc(-c2cc(C(F)(F)F)nn2-c2ccc(S(N)(=O)=O)cc2)cc1"
ROOM = 24
"""Heavy atoms for which there is room."""


@cache
def _generator() -> rdFingerprintGenerator.FingerprintGenerator64:
    return rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)


@cache
def _ligand() -> ExplicitBitVect:
    return _generator().GetFingerprint(Chem.MolFromSmiles(LIGAND))


def docking_like(smiles: str) -> float:
    """Minus a score: about -60 to -30 for the prior's molecules, and down to some hundreds."""
    molecule = Chem.MolFromSmiles(smiles)
    similarity = TanimotoSimilarity(_generator().GetFingerprint(molecule), _ligand())
    contact = 2.0 * Crippen.MolLogP(molecule) + 8.0 * math.expm1(3.0 * similarity)
    strain = 1.5 * rdMolDescriptors.CalcNumRotatableBonds(molecule)
    clash = 0.5 * max(0, molecule.GetNumHeavyAtoms() - ROOM) ** 2
    return -50.0 + contact - strain - clash
