"""What was changed of a lead: the parts in which the two molecules of a matched pair differ."""

from __future__ import annotations

from collections.abc import Sequence

from rdkit import Chem, DataStructs

from sequence_tutor.rewards.given_parts import Change
from sequence_tutor.rewards.molecules.identity import identify
from sequence_tutor.rewards.molecules.measures.matched_pair import Limits, cuts, with_hydrogen
from sequence_tutor.rewards.molecules.molecule import Molecule

# The parts in which the two may differ: at most this number of heavy atoms, and half the molecule.
LIMITS = Limits(20, 0.5)
_HYDROGEN = "[*:1][H]"


def changes(leads: Sequence[str], smiles: Sequence[str]) -> list[Change]:
    """Of each valid SMILES its nearest lead, the similarity to it, and what was changed."""
    known = [_Lead(lead) for lead in leads]
    found = []
    for text in smiles:
        mol = identify(text).mol
        assert mol is not None
        own = Molecule(text, mol).fingerprint()
        similar = DataStructs.BulkTanimotoSimilarity(own, [lead.fingerprint for lead in known])
        best = max(range(len(known)), key=similar.__getitem__)
        found.append(Change(leads[best], float(similar[best]), known[best].change(mol)))
    return found


class _Lead:
    def __init__(self, smiles: str) -> None:
        mol = identify(smiles).mol
        assert mol is not None
        self.fingerprint = Molecule(smiles, mol).fingerprint()
        self._whole, self._parts = Chem.MolToSmiles(mol), _parts(mol)

    def change(self, mol: Chem.Mol) -> str:
        """The smallest parts that differ, as `old>>new`; "" where more than one place differs."""
        whole, parts = Chem.MolToSmiles(mol), _parts(mol)
        found = [(c, v, parts[c]) for c, v in self._parts.items() if c in parts and parts[c] != v]
        # hydrogen in place of a part
        found += [(c, v, _HYDROGEN) for c, v in self._parts.items() if with_hydrogen(c) == whole]
        found += [(c, _HYDROGEN, v) for c, v in parts.items() if with_hydrogen(c) == self._whole]
        if not found:
            return ""
        _, old, new = max(found, key=lambda one: (len(one[0]), one))
        return f"{old}>>{new}"


def _parts(mol: Chem.Mol) -> dict[str, str]:
    """By the constant part of each cut, the other part."""
    return dict(sorted(cuts(mol, LIMITS)))
