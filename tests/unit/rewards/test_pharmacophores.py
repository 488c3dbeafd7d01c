"""Pharmacophores: the same similarities as RDKit's own loops give."""

from __future__ import annotations

import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem.Pharm2D import Generate, Gobbi_Pharm2D

from sequence_tutor.rewards.molecules.pharmacophores import pharmacophores, tanimoto
from sequence_tutor.rewards.molecules.tasks.drugs import DRUGS

MORE = [
    "C",
    "CCO",
    "OCc1ccc(CO)cc1",
    "[Na+].OC(=O)CCCCCCCCN",
    "OC1C(O)C(O)C(O)C(O)C1O",  # many points with the same role, at equal distances
    "C[Si](C)(CCN)CCOCCNC(=N)N",
    "O=C(O)CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCN",
]


def test_similarities_are_those_of_rdkit() -> None:
    mols = [Chem.MolFromSmiles(smiles) for smiles in [*DRUGS.values(), *MORE]]
    ours = [pharmacophores(mol) for mol in mols]
    theirs = [Generate.Gen2DFingerprint(mol, Gobbi_Pharm2D.factory) for mol in mols]
    assert [len(a) for a in ours] == [a.GetNumOnBits() for a in theirs]
    for i in range(len(mols)):
        for j in range(i):
            expected = DataStructs.TanimotoSimilarity(theirs[i], theirs[j])
            assert tanimoto(ours[i], ours[j]) == pytest.approx(expected, abs=1e-12)
    assert max(len(a) for a in ours) > 300  # control: there is something to compare
