"""Whether a molecule is near a lead: Tanimoto similarity of ECFP4 fingerprints."""

from __future__ import annotations

from rdkit import Chem, DataStructs

from sequence_tutor.rewards.given_parts import Window
from sequence_tutor.rewards.molecules.identity import identify
from sequence_tutor.rewards.molecules.molecule import Molecule


class Nearness:
    """Compares molecules with leads, by bits of radius 2, 2,048 of them. Raises ValueError for a
    lead that isn't a SMILES."""

    def __init__(self, window: Window) -> None:
        self._window, self._prints = window, []
        for lead in window.leads:
            found = identify(lead)
            if found.mol is None:
                raise ValueError(f"lead {lead!r} is not a SMILES: {found.reason}")
            self._prints.append(Molecule(lead, found.mol).fingerprint())

    def refusal(self, mol: Chem.Mol) -> str:
        """Why a molecule is outside of the window; "" where it isn't."""
        return self._window.reason(self.similarity(mol))

    def similarity(self, mol: Chem.Mol) -> float:
        """That to the nearest lead."""
        own = Molecule("", mol).fingerprint()
        return float(max(DataStructs.BulkTanimotoSimilarity(own, self._prints)))
