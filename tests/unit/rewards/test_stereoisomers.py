"""Stereoisomers of molecules that leave their stereochemistry open."""

from __future__ import annotations

import pytest

from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.molecules.stereo import stereoisomers


@pytest.mark.parametrize(
    ("smiles", "isomers"),
    [
        ("CC(O)F", {"C[C@H](O)F", "C[C@@H](O)F"}),
        ("CC=CC", {"C/C=C/C", "C/C=C\\C"}),
        ("C[C@H](O)F", set()),
        ("CCO", set()),
        ("not a molecule", set()),
    ],
)
def test_all_isomers_of_what_is_open(smiles: str, isomers: set[str]):
    assert set(stereoisomers(smiles, 8)) == isomers


def test_at_most_so_many_and_always_the_same():
    sugar = "OCC1OC(O)C(O)C(O)C1O"
    few = stereoisomers(sugar, 4)
    assert len(few) == 4 and few == stereoisomers(sugar, 4)
    domain = domain_of("smiles")
    assert all(domain.key(isomer) == isomer for isomer in few)
    # half of what is open may be stated: only the rest is enumerated
    assert len(stereoisomers("C[C@H](O)C(F)Cl", 8)) == 2


def test_practical_molecules_pass_the_filters():
    domain = domain_of("smiles")
    assert domain.practical("CC(=O)Nc1ccc(OCCN2CCOCC2)cc1")
    assert not domain.practical("C" * 20 + "C(=O)Cl")
    assert domain_of("melody").practical("anything")
    assert domain_of("melody").variants("anything", 3) == []
