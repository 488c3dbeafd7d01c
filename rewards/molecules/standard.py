"""The standard form of a molecule: without salts and solvents, and without charges where possible.

A key is a function of the whole text, so a salt and its parent are two things unless both are
brought to this form first.
"""

from __future__ import annotations

from functools import lru_cache

from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize

from sequence_tutor.rewards.molecules.identity import REMEMBERED, read, unreadable


@lru_cache(maxsize=REMEMBERED)
def standardize(smiles: str) -> str:
    """The standard form of a valid SMILES; an invalid one is returned as it is, and fails later.

    By RDKit's MolStandardize, in this order: `Cleanup` (normalises functional groups, separates
    metals, reionises), the largest fragment (most atoms with hydrogens, then the heaviest, then the
    first by its SMILES), `Uncharger` (adds and removes hydrogens until charges cancel). Tautomers
    and stereochemistry stay as they are. Where RDKit fails, an invalid text with the reason. Raises
    only MemoryError.
    """
    mol, _ = read(smiles)
    if mol is None:
        return smiles
    with rdBase.BlockLogs():
        try:
            clean = rdMolStandardize.Cleanup(mol)
            fragment = rdMolStandardize.LargestFragmentChooser().choose(clean)
            return str(Chem.MolToSmiles(rdMolStandardize.Uncharger().uncharge(fragment)))
        except MemoryError:
            raise
        except Exception as error:
            return unreadable(f"it has no standard form: {error or type(error).__name__}")
