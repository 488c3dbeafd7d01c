"""Patterns that are SMILES by mistake, and correct patterns."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from rdkit import Chem, RDConfig

from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.molecules.pattern import pattern_of

PHENOL, ANISOLE = "Oc1ccccc1", "COc1ccccc1"


def found(smarts: str, *molecules: str, **options: Any) -> list[float]:
    part = {"name": "substructure", "smarts": smarts, **options}
    rewards = build_reward(RewardConfig.model_validate({"component": [part]})).score(molecules)
    return list(rewards.rewards)


def suggested(smarts: str, **options: Any) -> str:
    with pytest.raises(ValueError, match="component 'substructure'") as error:
        found(smarts, "C", **options)
    assert smarts in str(error.value) and "\n" not in str(error.value)
    match = re.search(r"write '?([^ ']+)'?", str(error.value))
    assert match is not None
    return match[1]


@pytest.mark.parametrize(
    ("smarts", "suggestion", "molecules"),
    [
        ("OC1=CC=CC=C1", "Oc1ccccc1", [PHENOL, ANISOLE]),
        ("[H]Oc1ccccc1", "[O;!H0]c1ccccc1", [PHENOL]),
        ("c1ccccc1O[H]", "[O;!H0]c1ccccc1", [PHENOL]),
        ("[H]c1ccccc1O", "Oc1[c;!H0]cccc1", [PHENOL, ANISOLE]),
        ("[H]OC1=CC=CC=C1", "[O;!H0]c1ccccc1", [PHENOL]),
        ("[H]N([H])C1=CC=CC=C1", "[N;!H0;!H1]c1ccccc1", ["Nc1ccccc1C"]),
        ("[H]N", "[N;!H0]", ["CNC", "N"]),
        ("[H:3][O:2][c:1]1[cH:4]cccc1", "[O;!H0]c1ccccc1", [PHENOL]),
        ("O[C:1]1=[CH:2]C=CC=C1", "Oc1ccccc1", [PHENOL]),
        ("[H]OC[2H]", "[2H]C[O;!H0]", ["OC[2H]"]),
        ("C1=CC=CC=C1.C1=CN=CN1", "c1ccccc1.c1cncn1", ["c1ccc(-c2cnc[nH]2)cc1.Cn1ccnc1"]),
        ("N1C=CC=C1", "c1ccnc1", ["c1cc[nH]c1", "Cn1cccc1"]),
        ("O=C1C=CNC=C1", "O=c1ccncc1", ["O=c1cc[nH]cc1"]),
        ("CN(=O)=O", "C[N+](=O)[O-]", ["CC[N+](=O)[O-]", "CCN(=O)=O"]),
        ("N(=O)=O", "[N+](=O)[O-]", ["C[N+](=O)[O-]"]),
        ("cN(=O)=O", "[N+](=O)[O-]", ["O=[N+]([O-])c1ccccc1"]),
        ("CN=N#N", "CN=[N+]=[N-]", ["CCN=[N+]=[N-]"]),
        ("O=n1ccccc1", "[O-][n+]1ccccc1", ["[O-][n+]1ccccc1"]),
    ],
)
def test_a_kekule_smiles_raises_with_a_suggestion(
    smarts: str, suggestion: str, molecules: list[str]
) -> None:
    """The error suggests a pattern that matches the intended molecules; the written one matches
    none of them."""
    given = suggested(smarts)
    assert given == suggestion
    assert found(given, *molecules) == [1.0] * len(molecules)
    assert found(given, "CCCC") == [0.0]
    raw = Chem.MolFromSmarts(smarts)
    assert not any(Chem.MolFromSmiles(m).HasSubstructMatch(raw) for m in molecules)
    assert suggested(smarts, absent=True) == given


def test_a_suggestion_keeps_only_the_named_hydrogens() -> None:
    assert found(suggested("[H]Oc1ccccc1"), PHENOL, ANISOLE) == [1.0, 0.0]
    assert found(suggested("OC1=CC=CC=C1"), PHENOL, ANISOLE) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("smarts", "hit", "miss"),
    [
        ("c1ccccc1", PHENOL, "C1CCCCC1"),
        ("C(=O)O", "CC(=O)O", "CCO"),
        ("[OH]", "CO", "COC"),
        ("[#6]", "c1ccccc1", "O"),
        ("a", "c1ccccc1", "C"),
        ("A", "C", "c1ccccc1"),
        ("[$(C=O)]", "CC=O", "CCO"),
        ("[CH3:1][OH:2]", "CO", "CCO"),
        ("[Na+].[Cl-]", "[Na+].[Cl-]", "C"),
        ("[N+](=O)[O-]", "C[N+](=O)[O-]", "CN"),
        ("[$([NX3](=O)=O),$([NX3+](=O)[O-])]", "C[N+](=O)[O-]", "CN"),
        ("C1=CC(=O)C=CC1=O", "C1=CC(=O)C=CC1=O", "c1ccccc1"),
        ("[nH]1cccc1", "c1cc[nH]c1", "Cn1cccc1"),
        ("C=C", "C=CC", "c1ccccc1"),
        ("F/C=C/F", "F/C=C/F", "FCCF"),
        ("[2H]C", "[2H]C", "C"),
        # hydrogens in a pattern that is no SMILES, or as #1: conditions on a neighbour
        ("[H]O[C,c]", PHENOL, ANISOLE),
        ("[#1]Oc1ccccc1", PHENOL, ANISOLE),
        ("[$([H]O)]", "CO", "COC"),
        ("[#6]-[#7](-[#1])-[#1]", "CN", "CNC"),
    ],
)
def test_a_pattern_hits_and_misses_as_written(smarts: str, hit: str, miss: str) -> None:
    assert found(smarts, hit, miss) == [1.0, 0.0]
    assert found(smarts, hit, miss, absent=True) == [0.0, 1.0]


def test_all_of_rdkits_catalogs_of_groups_are_patterns() -> None:
    data = Path(RDConfig.RDDataDir)
    with (data / "Pains" / "wehi_pains.csv").open() as file:
        patterns = [row[0] for row in csv.reader(file)]
    lines = (data / "Functional_Group_Hierarchy.txt").read_text().splitlines()
    lines += (data / "FunctionalGroups.txt").read_text().splitlines()
    words = [word for line in lines if not line.startswith("//") for word in line.split("\t")[1:2]]
    patterns += [word.strip() for word in words if word.strip()]
    assert len(patterns) > 530
    for smarts in patterns:
        assert pattern_of(smarts).GetNumAtoms(), smarts


def test_pains_with_hydrogens_are_found() -> None:
    """The catalog's pattern of an azo compound and one with hydrogens, which names its atoms."""
    smarts = "[#7](-[#1])(-[#1])-c:1:c(:c:c:c:n:1)-[#8]-[#6](-[#1])(-[#1])-[#6]:[#6]"
    assert found(smarts, "Nc1ncccc1OCc1ccccc1", "CN(C)c1ncccc1OCc1ccccc1") == [1.0, 0.0]


@pytest.mark.parametrize("smarts", ["", "C1", "no pattern", "[#6] [#8]", "c1ccccc1 benzene"])
def test_text_that_is_no_pattern_raises(smarts: str) -> None:
    with pytest.raises(ValueError, match="smarts = "):
        pattern_of(smarts)


@pytest.mark.parametrize("smiles", ["CC(C)=O |t|", "CCO ethanol", "", "C1", "C\tO"])
def test_a_reference_that_is_no_molecule_raises(smiles: str) -> None:
    part = {"name": "similarity", "smiles": smiles}
    words = "without blanks" if len(smiles.split()) > 1 else "not a valid molecule"
    with pytest.raises(ValueError, match=words):
        build_reward(RewardConfig.model_validate({"component": [part]}))
