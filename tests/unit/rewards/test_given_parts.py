"""Given parts of molecules: scaffolds, fragments and windows, against RDKit's own matching."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.given_parts import GivenParts, Window
from sequence_tutor.rewards.molecules.given_parts.fragments import Fragments
from sequence_tutor.rewards.molecules.given_parts.scaffold import Scaffold
from sequence_tutor.rewards.molecules.given_parts.spelling import (
    ending_at,
    open_rings,
    renumbered,
)

AMIDE = "[*:1]c1ccc(cc1)C(=O)N[*:2]"
# molecules with the scaffold and substituents at both points, one of them chiral, one with rings
SERIES = [
    "Clc1ccc(cc1)C(=O)NC1CC1",
    "CC(C)Oc1ccc(cc1)C(=O)NCc1ccccc1",
    "C[C@H](N)c1ccc(cc1)C(=O)N[C@@H]1CCOC1",
    "O=C(Nc1ccc2[nH]ccc2c1)c1ccc(-c2ccncc2)cc1",
]


def filled(parts: GivenParts, text: str) -> bool:
    """Whether a text has the given texts in their order, from its beginning."""
    at, (texts, gaps) = 0, parts.spelling
    for i, given in enumerate(texts):
        found = text.startswith(given) * 1 - 1 if i == 0 else text.find(given, at)
        if found < 0:
            return False
        at = found + len(given)
    return gaps[-1] == "end" or text.endswith(texts[-1])


@pytest.mark.parametrize("smiles", SERIES)
def test_molecules_of_a_series_are_spelled_by_the_scaffold(smiles: str):
    scaffold, key = Scaffold(AMIDE), Chem.CanonSmiles(smiles)
    text = scaffold.spell(smiles)
    assert text is not None and filled(scaffold, text)
    assert Chem.CanonSmiles(text) == key
    random = np.random.default_rng(0)
    others = {scaffold.spell(smiles, random) for _ in range(20)}
    assert all(t is not None and filled(scaffold, t) for t in others)
    assert {Chem.CanonSmiles(t) for t in others} == {key}
    if smiles == SERIES[-1]:
        assert len(others) > 1


@pytest.mark.parametrize(
    "smiles",
    [
        "CCO",  # no scaffold
        "c1ccc(cc1)C(=O)NC1CC1",  # nothing at the first point
        "Clc1ccc(cc1)C(=O)N(C)C1CC1",  # two at the second
        "Clc1ccc(c(F)c1)C(=O)NC1CC1",  # something elsewhere
        "O=C1NCCc2ccc1cc2",  # one substituent at both points
        "not a molecule",
    ],
)
def test_other_molecules_are_not(smiles: str):
    assert Scaffold(AMIDE).spell(smiles) is None


def test_every_spelling_of_a_scaffold_is_one_of_it():
    scaffold = Scaffold(AMIDE)
    assert len(scaffold.spellings) > 20
    methyls = {Chem.CanonSmiles(scaffold.example(s)) for s in scaffold.spellings}
    assert methyls == {Chem.CanonSmiles("Cc1ccc(cc1)C(=O)NC")}
    other = scaffold.spelled_as(scaffold.spellings[-1])
    text = other.spell(SERIES[2])
    assert text is not None and filled(other, text) and not filled(scaffold, text)
    assert Chem.CanonSmiles(text) == Chem.CanonSmiles(SERIES[2])
    with pytest.raises(ValueError, match="given parts are others"):
        scaffold.spelled_as(Scaffold("[*:1]c1ccccc1").spelling)


def test_stereo_of_the_scaffold_is_kept():
    scaffold = Scaffold("O=C([*:1])N[C@@H](C[*:2])C(=O)O")
    same, mirrored = "O=C(CC)N[C@@H](CCl)C(=O)O", "O=C(CC)N[C@H](CCl)C(=O)O"
    text = scaffold.spell(same)
    assert text is not None and Chem.CanonSmiles(text) == Chem.CanonSmiles(same)
    assert scaffold.spell(mirrored) is None


def test_two_fragments_and_the_linker_between():
    parts = Fragments(["c1ccccc1[*:1]", "[*:1]C(=O)NC1CC1"])
    smiles = "O=C(NC1CC1)C1CCN(Cc2ccccc2)CC1"
    text = parts.spell(smiles)
    assert text is not None and filled(parts, text)
    assert Chem.CanonSmiles(text) == Chem.CanonSmiles(smiles)
    assert parts.spell("O=C(NC1CC1)c1ccccc1") is None  # no linker
    assert parts.spell("CCc1ccccc1") is None


@pytest.mark.parametrize(
    ("scaffold", "message"),
    [
        ("c1ccccc1", r"has no attachment point: write \[\*:1\]"),
        ("c1ccccc", "is not a SMILES"),
        ("[*:1]=C1CCCC1", "needs one single bond"),
        ("[*:1]C[*:2].C", "in several parts"),
    ],
)
def test_bad_scaffolds(scaffold: str, message: str):
    with pytest.raises(ValueError, match=message):
        Scaffold(scaffold)


@pytest.mark.parametrize(
    ("fragments", "message"),
    [
        (["C[*:1]"], "needs two of them, not 1"),
        (["C[*:1]", "CC"], "has 0 attachment points and needs one"),
        (["C[*:1]", "xx"], "is not a SMILES"),
    ],
)
def test_bad_fragments(fragments: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        Fragments(fragments)


@pytest.mark.parametrize(
    "smiles",
    [
        "*CN1CCC(*)CC1",
        "*C[C@@H]1CC[C@](F)(*)OC1",
        "*[C@H](Cl)[C@@H](*)C(F)(F)F",
        "*/C=C/c1cc(*)ccc1C(=O)N/N=C/C",
        "*C(C[Br])(c1ccccc1)C1C(*)C1(C)[N+](=O)[O-]",
    ],
)
def test_a_text_that_ends_with_a_dummy(smiles: str):
    mol = Chem.MolFromSmiles(smiles)
    first, last = (a.GetIdx() for a in mol.GetAtoms() if not a.GetAtomicNum())
    random, texts = np.random.default_rng(0), set()
    for _ in range(20):
        text = ending_at(mol, last, first, random)
        assert text.startswith("*") and Chem.CanonSmiles(text + "*") == Chem.CanonSmiles(smiles)
        texts.add(text)
    assert len(texts) > 1 or smiles.count("c") == 0
    assert ending_at(mol, last, first) == ending_at(mol, last, first)


def test_ring_numbers():
    assert open_rings("C1CC2") == {1, 2} and open_rings("C1CC1%12") == {12}
    assert renumbered("C1CC1C1CC1", frozenset({1})) == "C2CC2C2CC2"
    assert renumbered("C1CC1", frozenset(range(1, 10))) == "C%10CC%10"
    assert renumbered("[13C]1CC1", frozenset({1})) == "[13C]2CC2"


def test_a_window_of_similarity():
    lead = "CC(C)Oc1ccc(cc1)C(=O)NCc1ccccc1"
    near, far = "CC(C)Oc1ccc(cc1)C(=O)NCc1ccccc1F", "CCO"
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    prints = [generator.GetFingerprint(Chem.MolFromSmiles(s)) for s in (lead, near, far)]
    similar = DataStructs.TanimotoSimilarity(prints[0], prints[1])
    assert 0.4 < similar < 1
    domain = domain_of("smiles").within(Window((lead,), 0.4, 0.99))
    assert domain.key(near) == Chem.CanonSmiles(near)
    assert domain.key(far) is None and domain.key(lead) is None
    assert "isn't in 0.4 to 0.99" in domain.identify(far).reason
    below = domain_of("smiles").within(Window((lead,), 0.0, similar - 0.01))
    assert below.key(near) is None
    random = np.random.default_rng(0)
    children = [domain.mutate(near, random) for _ in range(30)]
    assert all(child is None or domain.key(child) for child in children) and any(children)
    with pytest.raises(ValueError, match="lead 'xx' is not a SMILES"):
        domain_of("smiles").within(Window(("xx",), 0.4, 0.8))


def test_nothing_outside_of_the_window_is_scored():
    lead = "CC(C)Oc1ccc(cc1)C(=O)NCc1ccccc1"
    config = RewardConfig.model_validate({"component": [{"name": "qed"}]})
    reward = build_reward(config.within(Window((lead,), 0.4, 1.0)), "molecules")
    reward.warm_up()  # judges an example, which isn't near
    scores = reward.score([lead, "CCO"])
    assert scores.status.tolist() == [Status.OK, Status.INVALID]
    assert "isn't in 0.4 to 1" in scores.errors[1]


def test_other_domains():
    melodies = domain_of("melody")
    assert melodies.given_parts(start="C4--").spelling.texts == ("C4--", "")
    with pytest.raises(ValueError, match="have no scaffold"):
        melodies.given_parts(scaffold="C4")
    with pytest.raises(ValueError, match="no similarity to a lead"):
        melodies.within(Window(("C4",), 0.1, 0.9))


@pytest.mark.parametrize(
    ("smiles", "change"),
    [
        ("CC(C)Oc1ccc(cc1)C(=O)NCc1ccccc1F", "[*:1][H]>>[*:1]F"),
        ("CCOc1ccc(cc1)C(=O)NCc1ccccc1", "[*:1]C>>[*:1][H]"),
        ("O=C(NCc1ccccc1)c1ccccc1", "[*:1]OC(C)C>>[*:1][H]"),
        ("CCOc1ccc(cc1)C(=O)NCc1ccccc1F", ""),  # two places
    ],
)
def test_what_was_changed_of_a_lead(smiles: str, change: str):
    lead = "CC(C)Oc1ccc(cc1)C(=O)NCc1ccccc1"
    (found,) = domain_of("smiles").changes([lead, "CCO"][:1], [smiles])
    assert found.lead == lead
    assert [Chem.CanonSmiles(part) for part in found.change.split(">>")] == [
        Chem.CanonSmiles(part) for part in change.split(">>")
    ]
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    prints = [generator.GetFingerprint(Chem.MolFromSmiles(s)) for s in (lead, smiles)]
    assert found.similarity == pytest.approx(DataStructs.TanimotoSimilarity(*prints))
    (nearest,) = domain_of("smiles").changes(["CCO", lead], [smiles])
    assert nearest.lead == lead
