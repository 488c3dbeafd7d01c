"""Components that compare with a reference or with the molecules of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import AllChem, rdMolAlign, rdShapeHelpers
from rdkit.Chem.Pharm2D import Generate, Gobbi_Pharm2D

from sequence_tutor.rewards import score_one
from sequence_tutor.rewards.molecules.conformers import conformers

ASPIRIN, SALICYLATE = "CC(=O)Oc1ccccc1C(=O)O", "OC(=O)c1ccccc1O"


@pytest.mark.parametrize("measure", ["tanimoto", "dice", "tversky"])
def test_pharmacophores_are_those_of_rdkit(measure: str) -> None:
    mols = [Chem.MolFromSmiles(smiles) for smiles in (SALICYLATE, ASPIRIN)]
    own, other = (Generate.Gen2DFingerprint(mol, Gobbi_Pharm2D.factory) for mol in mols)
    compare = {
        "tanimoto": DataStructs.TanimotoSimilarity,
        "dice": DataStructs.DiceSimilarity,
        "tversky": lambda a, b: DataStructs.TverskySimilarity(a, b, 0.2, 0.9),
    }
    options: dict[str, Any] = {"fingerprint": "pharmacophores", "measure": measure}
    options |= {"alpha": 0.9, "beta": 0.2} if measure == "tversky" else {}
    value = score_one("similarity", SALICYLATE, smiles=ASPIRIN, **options)
    assert value == pytest.approx(compare[measure](own, other)) and 0 < value < 1


def test_open3dalign() -> None:
    """The best of four pairs of conformers, aligned here by RDKit."""
    one, other = (conformers(Chem.MolFromSmiles(s), 2) for s in (SALICYLATE, ASPIRIN))
    found = []
    for i in range(2):
        for j in range(2):
            probe = Chem.Mol(one)
            properties = [AllChem.MMFFGetMoleculeProperties(mol) for mol in (probe, other)]
            rdMolAlign.GetO3A(probe, other, *properties, prbCid=j, refCid=i).Align()
            found.append(1 - rdShapeHelpers.ShapeTanimotoDist(probe, other, confId1=j, confId2=i))
    options: dict[str, Any] = {"smiles": ASPIRIN, "conformers": 2, "method": "open3dalign"}
    value = score_one("shape", SALICYLATE, **options)
    assert value == pytest.approx(max(found), abs=1e-6) and len({round(f, 6) for f in found}) > 1
    assert score_one("shape", ASPIRIN, **options) == pytest.approx(1, abs=1e-3)
    assert score_one("shape", SALICYLATE, smiles=ASPIRIN, conformers=2) != value
    with pytest.raises(ValueError, match="MMFF94 lacks a type"):
        score_one("shape", "CB(O)O", **options)
    with pytest.raises(ValueError, match="color_weight is for method"):
        score_one("shape", "CC", color_weight=0.5, **options)
    with pytest.raises(ValueError, match="unknown method 'o3a'"):
        score_one("shape", "CC", smiles=ASPIRIN, method="o3a")


def test_levenshtein_by_hand() -> None:
    for smiles, other, edits, longer in (
        ("CCO", "CCO", 0, 3),
        ("OCC", "CCO", 0, 3),  # canonical forms are compared
        ("CCO", "CCN", 1, 3),
        ("CCCCO", "CCO", 2, 5),
        ("CC", "c1ccccc1", 8, 8),
        ("CCO", "CC(C)O", 3, 6),
    ):
        value = score_one("levenshtein", smiles, smiles=other)
        assert value == pytest.approx(1 - edits / longer), smiles
    assert score_one("levenshtein", "CCO", smiles=["c1ccccc1", "CCN"]) == pytest.approx(2 / 3)


def test_isomers() -> None:
    assert score_one("isomer", "CCCCCCC(C)CCC", formula="C11H24") == 1.0
    tasks = score_one("isomers_c11h24", "CCCCCCCC"), score_one("isomer", "C" * 8, formula="C11H24")
    assert tasks[0] == tasks[1] < 0.5
    assert score_one("isomer", "CCO", formula="CH3CH2OH") == 1.0
    for wrong in ("", "C11H24+", "Xx2", "c6h6", "C 2"):
        with pytest.raises(ValueError, match="is not a formula such as"):
            score_one("isomer", "CCO", formula=wrong)


@pytest.fixture
def catalogue(tmp_path: Path) -> str:
    path = tmp_path / "catalogue.smi"
    path.write_text("OCC ethanol\nC[C@H](N)C(=O)O\n\nc1ccccc1CC\n")
    return str(path)


def test_listed(catalogue: str) -> None:
    for smiles, value in (
        ("CCO", 1),
        ("C(O)C", 1),
        ("[CH3:4]CO", 1),  # labels of atoms make no difference
        ("CCN", 0),
        ("C[C@@H](N)C(=O)O", 0),  # the mirror image
        ("CC(N)C(=O)O", 0),
        ("CCc1ccccc1", 1),
    ):
        assert score_one("listed", smiles, file=catalogue) == value, smiles
    Path(catalogue).write_text("CCO\nC1\n")
    with pytest.raises(ValueError, match="line 2, 'C1', is not a valid molecule"):
        score_one("listed", "CCO", file=catalogue)


def test_unseen_fragments(catalogue: str) -> None:
    def fragments(smiles: str) -> set[int]:
        mol = Chem.MolFromSmiles(smiles)
        return set(AllChem.GetMorganFingerprint(mol, 2).GetNonzeroElements())

    seen = fragments("OCC") | fragments("C[C@H](N)C(=O)O") | fragments("c1ccccc1CC")
    for smiles in ("CCO", "CCCO", "FC1CC1", "Cc1ccccc1"):
        own = fragments(smiles)
        value = score_one("unseen_fragments", smiles, file=catalogue)
        assert value == pytest.approx(len(own - seen) / len(own)), smiles
    assert score_one("unseen_fragments", "CCO", file=catalogue) == 0
    assert score_one("unseen_fragments", "FC1CC1", file=catalogue) > 0.5
    with pytest.raises(ValueError, match="radius must not be negative"):
        score_one("unseen_fragments", "CCO", file=catalogue, radius=-1)
