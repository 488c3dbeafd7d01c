"""Children of molecules: what each change makes, and the limits that all keep."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import Crippen, Descriptors, Lipinski, rdFingerprintGenerator, rdMolDescriptors

from sequence_tutor.rewards.base import Domain
from sequence_tutor.rewards.molecules import crossover, mutations
from sequence_tutor.rewards.molecules.breeding import LARGEST_RING, MOST_ATOMS, finish
from sequence_tutor.rewards.molecules.domain import MoleculeDomain
from sequence_tutor.rewards.molecules.identity import identify
from sequence_tutor.rewards.molecules.parent import Parent, parent_of

DOMAIN: Domain = MoleculeDomain()
# celecoxib, sildenafil, zaleplon, a nitro group and a carboxylate, a chiral one, a fused ring, a
# chain of 48
DRUGS = [
    "Cc1ccc(-c2cc(C(F)(F)F)nn2-c2ccc(S(N)(=O)=O)cc2)cc1",
    "CCCc1nn(C)c2c1nc([nH]c2=O)-c1cc(ccc1OCC)S(=O)(=O)N1CCN(C)CC1",
    "CCN(C(C)=O)c1cccc(-c2ccnc3c(C#N)cnn23)c1",
    "O=C([O-])c1ccc([N+](=O)[O-])cc1CC[NH3+]",
    "C[C@@H]1CC(Nc2cncc(-c3nncn3C)c2)C[C@@H](C)C1",
    "C1CCc2ccccc2C1",
    "CCO" * 16,
]


def parent(smiles: str) -> Parent:
    found = parent_of(smiles)
    assert found is not None
    return found


def children(smiles: str, change: mutations.Mutation, tries: int = 400) -> set[str]:
    """All that a change makes of a molecule in many tries."""
    random, one = np.random.default_rng(1), parent(smiles)
    made = (change(one, random) for _ in range(tries))
    keys = (finish(child, [one]) for child in made if child is not None)
    return {key for key in keys if key is not None}


def test_children_are_valid_canonical_and_within_the_limits() -> None:
    random = np.random.default_rng(0)
    made = 0
    for _ in range(300):
        first, second = random.choice(DRUGS, 2)
        plain = {parent(first).plain, parent(second).plain}
        for child in (DOMAIN.mutate(first, random), DOMAIN.cross(first, second, random)):
            if child is None:
                continue
            made += 1
            assert DOMAIN.identify(child).key == child
            assert child not in plain and not set(child) & set("@/\\.")
            mol = Chem.MolFromSmiles(child)
            rings = [len(ring) for ring in mol.GetRingInfo().AtomRings()]
            assert mol.GetNumHeavyAtoms() <= MOST_ATOMS and max(rings, default=0) <= LARGEST_RING
            assert not any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
            if "+" in child or "-]" in child:
                assert DRUGS[3] in (first, second)
    assert made > 0.95 * 600


def test_one_seed_gives_one_line_of_children() -> None:
    def line(seed: int) -> list[str | None]:
        random, child, found = np.random.default_rng(seed), DRUGS[0], list[str | None]()
        for other in DRUGS * 3:
            found += [DOMAIN.mutate(child, random), DOMAIN.cross(child, other, random)]
            child = found[-1] or child
        return found

    first = line(5)
    parent_of.cache_clear()
    assert line(5) == first != line(6)


@pytest.mark.parametrize(
    ("change", "smiles", "expected"),
    [
        (mutations.append_atom, "C", {f"C{e}" for e in ("C", "N", "O", "F", "S", "Cl", "Br")}),
        (mutations.append_atom, "C", {"C=C", "C=N", "C=O", "C#C", "C#N"}),
        (mutations.insert_atom, "CC", {"CCC", "CNC", "COC", "CSC", "C=CC", "C=NC", "C#CC"}),
        (mutations.delete_atom, "CCO", {"CC", "CO"}),
        (mutations.delete_atom, "C1CCCCC1", {"C1CCCC1"}),
        (mutations.change_element, "CC", {"CN", "CO", "CF", "CS", "CCl", "CBr"}),
        (mutations.change_bond_order, "CC=C", {"CCC", "C#CC"}),
        (mutations.change_bond_order, "C#C", {"CC", "C=C"}),
        (mutations.delete_ring_bond, "C1CCCCO1", {"CCCCCO", "CCCCOC", "CCCOCC"}),
        (mutations.add_ring, "CCCCCC", {"C1CCCCC1", "CC1CCCC1"}),
        (mutations.add_ring, "CCCc1ccccc1", {"c1ccc2c(c1)CCC2"}),
    ],
)
def test_a_change_makes_what_its_name_says(
    change: mutations.Mutation, smiles: str, expected: set[str]
) -> None:
    found = children(smiles, change)
    expected = {str(identify(one).key) for one in expected}
    if change is mutations.append_atom:
        assert expected <= found and len(found) == 12
    else:
        assert found == expected


@pytest.mark.parametrize("change", [mutations.delete_ring_bond, mutations.add_ring])
def test_a_molecule_without_a_place_for_a_change_has_no_child(change: mutations.Mutation) -> None:
    assert children("CC", change) == set()


def test_changes_leave_a_nitro_group_and_weak_bonds_alone() -> None:
    random = np.random.default_rng(2)
    nitro, peroxide = Chem.MolFromSmarts("[N+](=O)[O-]"), Chem.MolFromSmarts("O-O")
    halogen = Chem.MolFromSmarts("[F,Cl,Br]-[!#6]")
    for _ in range(300):
        child = DOMAIN.mutate("CC(O)CNOc1ccccc1[N+](=O)[O-]", random)
        mol = Chem.MolFromSmiles(child)
        assert mol.HasSubstructMatch(nitro)
        assert not mol.HasSubstructMatch(peroxide) and not mol.HasSubstructMatch(halogen)


@pytest.mark.parametrize(
    "smiles",
    ["CC=C=C", "C1C=C=CC1", "C1#CCCCC1", "C1=CC1", "C1CCCCCCC1", "CC.CC", "CS(C)(=O)", "CO"],
)
def test_what_a_child_may_not_be(smiles: str) -> None:
    child = Chem.RWMol(Chem.MolFromSmiles(smiles))
    refused = smiles not in ("CS(C)(=O)", "CO")
    assert (finish(child, []) is None) == refused
    assert finish(Chem.RWMol(Chem.MolFromSmiles("CO")), [parent("OC")]) is None


def test_a_chain_cross_has_a_part_of_each() -> None:
    random, one, other = np.random.default_rng(3), parent("FC1CCCCC1"), parent("Clc1ccccc1")
    # each has one bond to cut; two halogens alone may not bond
    found = {
        finish(child, [one, other])
        for _ in range(60)
        if (child := crossover.cross_chains(one, other, MOST_ATOMS, random)) is not None
    }
    assert found - {None} == {"c1ccc(C2CCCCC2)cc1", "ClC1CCCCC1", "Fc1ccccc1"}


def test_a_ring_cross_makes_a_ring_of_five_or_six_of_both() -> None:
    random, one, other = np.random.default_rng(4), parent("C1CCCCC1F"), parent("C1NCCNC1Cl")
    found = set()
    for _ in range(300):
        child = crossover.cross_rings(one, other, MOST_ATOMS, random)
        if child is not None and (key := finish(child, [one, other])):
            mol = Chem.MolFromSmiles(key)  # which must live as long as its rings are read
            rings = mol.GetRingInfo().AtomRings()
            assert [len(ring) for ring in rings] in ([5], [6])
            found.add(key)
    assert any("F" in key and "N" in key for key in found)
    assert any("F" in key and "Cl" in key for key in found)


def test_a_cross_keeps_the_largest_size() -> None:
    random, long = np.random.default_rng(5), parent(DRUGS[-1])
    for _ in range(100):
        child = crossover.cross_chains(long, long, 20, random)
        assert child is None or child.GetNumAtoms() <= 20


@pytest.mark.parametrize("smiles", ["C1", "", "[He]", "[U]", "[Na+].[Cl-]", "*"])
def test_nothing_comes_of_what_cannot_breed(smiles: str) -> None:
    random = np.random.default_rng(6)
    assert DOMAIN.cross(smiles, DRUGS[0], random) is None
    child = DOMAIN.mutate(smiles, random)
    assert child is None or DOMAIN.key(child) == child


def test_a_salt_breeds_by_its_largest_fragment() -> None:
    child = DOMAIN.mutate("[Na+].CCCCC(=O)[O-]", np.random.default_rng(7))
    assert child is not None and "Na" not in child and "[O-]" in child


def test_breeding_writes_no_log(capfd: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(8)
    for smiles in [*DRUGS, "C1", "c1cccc1"]:
        DOMAIN.mutate(smiles, random)
        DOMAIN.cross(smiles, DRUGS[0], random)
    assert capfd.readouterr() == ("", "")


def counts(make: Callable[..., np.ndarray], smiles: str) -> np.ndarray:
    found: np.ndarray = make(Chem.MolFromSmiles(smiles))
    return found


def test_features_are_the_counts_of_rdkit() -> None:
    morgan, pairs, roles, _ = DOMAIN.features(DRUGS)
    makers = (
        rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048),
        rdFingerprintGenerator.GetAtomPairGenerator(fpSize=2048),
        rdFingerprintGenerator.GetMorganGenerator(
            radius=2,
            fpSize=2048,
            atomInvariantsGenerator=rdFingerprintGenerator.GetMorganFeatureAtomInvGen(),
        ),
    )
    for block, maker in zip((morgan, pairs, roles), makers, strict=True):
        assert block.shape == (len(DRUGS), 2048) and block.dtype == np.uint8
        expected = [counts(maker.GetCountFingerprintAsNumPy, smiles) for smiles in DRUGS]
        assert np.array_equal(block, np.minimum(expected, 255))
    assert [len(one) for one in DOMAIN.features([])] == [0, 0, 0, 0]


def test_features_are_the_same_for_every_spelling() -> None:
    random = np.random.default_rng(9)
    respelled = [DOMAIN.rewrite(smiles, random) or smiles for smiles in DRUGS]
    assert respelled != DRUGS
    for one, other in zip(DOMAIN.features(DRUGS), DOMAIN.features(respelled), strict=True):
        assert np.array_equal(one, other)


def test_properties_are_those_of_rdkit() -> None:
    numbers = DOMAIN.features(DRUGS)[3]
    for row, smiles in zip(numbers.tolist(), DRUGS, strict=True):
        mol = Chem.MolFromSmiles(smiles)
        found = dict(zip((5, 6, 7, 8, 9, 14, 15, 16, 17, 35, 53), row, strict=False))
        formula = rdMolDescriptors.CalcMolFormula(mol)
        counts = {e: int(n or 1) for e, n in re.findall(r"([A-Z][a-z]?)(\d*)", formula)}
        named = {"C": 6, "N": 7, "O": 8, "F": 9, "S": 16, "Cl": 17}
        assert {named[e]: n for e, n in counts.items() if e != "H"} == {
            e: n for e, n in found.items() if n
        }
        others, hydrogens, charges, sp3, aromatic, aliphatic, bonds, donors, acceptors = row[11:20]
        assert (others, hydrogens) == (0, counts["H"])
        assert charges == sum(atom.GetFormalCharge() != 0 for atom in mol.GetAtoms())
        assert sp3 == round(Lipinski.FractionCSP3(mol) * counts["C"])
        assert (aromatic, aliphatic) == (
            3 * Lipinski.NumAromaticRings(mol),
            3 * Lipinski.NumAliphaticRings(mol),
        )
        assert bonds == Lipinski.NumRotatableBonds(mol)
        assert (donors, acceptors) == (Lipinski.NumHDonors(mol), Lipinski.NumHAcceptors(mol))
        assert row[20] == pytest.approx(4 * (Crippen.MolLogP(mol) + 5), abs=0.5)
        assert row[21] == pytest.approx(Descriptors.TPSA(mol) / 5, abs=0.5)


def test_features_stop_at_255_and_need_a_molecule() -> None:
    morgan, _, _, numbers = DOMAIN.features(["C" * 400])
    assert morgan.max() == numbers.max() == 255
    with pytest.raises(ValueError, match="'C1' is not a valid molecule"):
        DOMAIN.features(["CC", "C1"])
