"""The component `reaction`: cases by hand, and REINVENT4's rule for bonds that are marked."""

from __future__ import annotations

from typing import Any

import pytest
from rdkit import Chem
from rdkit.Chem import rdChemReactions

from sequence_tutor.rewards import score_one

AMIDE = "[C:1](=[O:2])-;!@[NX3:3]>>[C:1](=[O:2])O.[N:3]"
AMINATION = "[c:1]-;!@[NX3;!$(NC=O):2]>>[c:1]Br.[N:2]"
ALKYLATION = "[CX4;!$(C=*):1]-;!@[NX3;!$(NC=O):2]>>[C:1]Br.[N:2]"


@pytest.mark.parametrize(
    ("smiles", "reactions", "value"),
    [
        ("CC(=O)Nc1ccccc1", [AMIDE], 1),
        ("CCOCC", [AMIDE], 0),
        ("O=C1CCCCN1", [AMIDE], 0),  # a lactam: the bond is in a ring
        ("CN1CCN(c2ccccc2)CC1", [AMIDE, AMINATION], 1),  # one of them is enough
        ("CCOCC.CC(=O)NC", [AMIDE], 1),  # in a part of a salt
        ("O=C1CCCC1", ["[C:1](=[O:2])[C:3]>>[C:1]=[O:2].[C:3]"], 0),  # only opens the ring
        # two bonds of a ring at once take it apart
        ("CC1OCCO1", ["[C:1]1O[C:2][C:3]O1>>[C:1]=O.O[C:2][C:3]O"], 1),
        ("[CH3:1][C:2](=O)[NH:3]C", [AMIDE], 1),  # labels of atoms make no difference
    ],
)
def test_whole_molecules(smiles: str, reactions: list[str], value: float) -> None:
    assert score_one("reaction", smiles, reactions=reactions) == value


SCAFFOLD = "[*:1]C(=O)c1ccc(C[*:2])cc1"
BOTH = "CNC(=O)c1ccc(CN2CCCC2)cc1"


@pytest.mark.parametrize(
    ("smiles", "reactions", "value", "expected"),
    [
        (BOTH, [AMIDE, ALKYLATION], "all", 1),
        (BOTH, [AMIDE], "all", 0),
        (BOTH, [AMIDE], "share", 0.5),
        (BOTH, [[AMIDE], [ALKYLATION]], "all", 1),
        (BOTH, [[ALKYLATION], [AMIDE]], "all", 0),  # each at the other's point
        (BOTH, [[ALKYLATION], [AMIDE]], "share", 0),
        (BOTH, [[AMIDE], [AMIDE]], "share", 0.5),
        ("CNC(=O)c1ccc(C)cc1", [AMIDE], "share", 0),  # nothing is attached at the second point
        ("CNC(=O)C1CCCCC1", [AMIDE], "share", 0),
        ("COC(=O)c1ccc(CN2CCCC2)cc1", [AMIDE, ALKYLATION], "share", 0.5),
    ],
)
def test_bonds_of_a_scaffold(smiles: str, reactions: Any, value: str, expected: float) -> None:
    options = {"reactions": reactions, "scaffold": SCAFFOLD, "value": value}
    assert score_one("reaction", smiles, **options) == expected


def test_the_best_of_several_places() -> None:
    """The same scaffold lies in this molecule in two directions, and only one of them fits."""
    options = {"reactions": [[AMIDE], [AMINATION]], "scaffold": "[*:1]Nc1ccc(N[*:2])cc1"}
    reactions = [[AMIDE], ["[c:1][NX3;!$(NC=O):2]-[c:3]>>[c:1][N:2].[c:3]Br"]]
    for smiles in ("CC(=O)Nc1ccc(Nc2ccccc2)cc1", "c1ccccc1Nc1ccc(NC(C)=O)cc1"):
        assert score_one("reaction", smiles, **(options | {"reactions": reactions})) == 1


def _reinvent(mol: Chem.Mol, smarts: list[str], selective: bool) -> float:
    """REINVENT4's rule for a molecule whose new bonds are marked: both atoms of bond n have label
    n. The reactions of bond n, or any of them, must put its atoms into different products."""
    bonds: dict[int, list[int]] = {}
    for atom in mol.GetAtoms():
        if atom.HasProp("molAtomMapNumber"):
            bonds.setdefault(atom.GetAtomMapNum(), []).append(atom.GetIdx())
    made = 0
    for n, (one, other) in sorted(bonds.items()):
        found = False
        for text in [smarts[n - 1]] if selective else smarts:
            for products in rdChemReactions.ReactionFromSmarts(text).RunReactant(mol, 0):
                sets = [
                    {
                        int(a.GetProp("react_atom_idx"))
                        for a in p.GetAtoms()
                        if a.HasProp("react_atom_idx")
                    }
                    for p in products
                ]
                found = found or (one in sets[0]) != (other in sets[0])
        made += found
    return float(made == len(bonds)) if selective else made / len(bonds)


@pytest.mark.parametrize("smarts", [[AMIDE, ALKYLATION], [ALKYLATION, AMIDE], [AMIDE, AMIDE]])
@pytest.mark.parametrize(
    "marked",
    [
        "C[NH:1][C:1](=O)c1ccc([CH2:2][N:2]2CCCC2)cc1",
        "C[O:1][C:1](=O)c1ccc([CH2:2][NH:2]CC)cc1",
        "CCC[N:1](C)[C:1](=O)c1ccc([CH2:2][O:2]C)cc1",
    ],
)
def test_a_scaffold_gives_the_values_of_reinvent4(smarts: list[str], marked: str) -> None:
    mol = Chem.MolFromSmiles(marked)
    plain = Chem.MolToSmiles(Chem.MolFromSmiles(marked.replace(":1]", "]").replace(":2]", "]")))
    options = {"scaffold": SCAFFOLD, "reactions": [[one] for one in smarts]}
    assert score_one("reaction", plain, **options) == _reinvent(mol, smarts, True)
    options = {"scaffold": SCAFFOLD, "reactions": smarts, "value": "share"}
    assert score_one("reaction", plain, **options) == _reinvent(mol, smarts, False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reactions": []}, "reactions needs at least one"),
        ({"reactions": [[]]}, "reactions needs at least one"),
        ({"reactions": ["CC"]}, "'CC' in reactions is not a reaction SMARTS"),
        ({"reactions": ["[C:1]>>[C:1"]}, "is not a reaction SMARTS"),
        ({"reactions": ["[C:1].[N:2]>>[C:1][N:2]"]}, "makes 1 from 2: write it backwards"),
        ({"reactions": ["[C:1]>>[C:1]"]}, "makes 1 from 1"),
        ({"reactions": [AMIDE], "value": "some"}, "unknown value 'some'"),
        ({"reactions": [AMIDE], "value": "share"}, "need a scaffold"),
        ({"reactions": [[AMIDE]]}, "need a scaffold"),
        ({"reactions": [AMIDE], "scaffold": "C1"}, "scaffold = 'C1' is not a valid molecule"),
        ({"reactions": [AMIDE], "scaffold": "CC"}, r"needs a \* where something is attached"),
        ({"reactions": [AMIDE], "scaffold": "C*C"}, r"each \* must have one neighbour"),
        ({"reactions": [[AMIDE]], "scaffold": "*CC*"}, "has 1 lists, and scaffold has 2 points"),
        ({"reactions": [AMIDE, [AMIDE]]}, "option 'reactions'"),
    ],
)
def test_wrong_options_are_one_sentence(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        score_one("reaction", "CC", **options)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400
