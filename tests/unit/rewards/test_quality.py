"""#Circles and the filters of medicinal chemistry."""

from __future__ import annotations

import pytest

from sequence_tutor.rewards.molecules.molecule import Molecule, parse
from sequence_tutor.rewards.molecules.quality import alerts, circles, passes_filters
from sequence_tutor.rewards.molecules.tasks.drugs import drug

APART = ["CCCCCCCC", "c1ccc2ccccc2c1", "NS(=O)(=O)C1CC1", "FC(F)(F)I"]


def molecules(*smiles: str) -> list[Molecule]:
    return [Molecule(s, mol) for s in smiles if (mol := parse(s)) is not None]


def test_circles_counts_molecules_that_are_far_apart() -> None:
    assert circles([]) == 0
    assert circles(molecules(*APART)) == 4
    assert circles(molecules(*APART, *APART, "C(C)CCCCCC")) == 4  # copies add nothing
    assert circles(molecules("CCCCCCCC", "CCCCCCCCC")) == 1
    assert circles(molecules("CCCCCCCC", "CCCCCCCCCO"), distance=0.1) == 2


def test_circles_are_more_than_the_distance_apart() -> None:
    one, other = molecules("CCO", "CCN")
    sets = [set(m.fingerprint().GetOnBits()) for m in (one, other)]
    exact = 1 - len(sets[0] & sets[1]) / len(sets[0] | sets[1])
    assert circles([one, other], exact + 1e-9) == 1
    assert circles([one, other], exact - 1e-9) == 2


@pytest.mark.parametrize("distance", [-0.1, 1.0, float("nan")])
def test_circles_needs_a_distance_below_1(distance: float) -> None:
    with pytest.raises(ValueError, match="distance must be from 0 to below 1"):
        circles([], distance)


def test_filters_let_drugs_pass() -> None:
    for name in ("sildenafil", "celecoxib", "fexofenadine", "zaleplon"):
        assert passes_filters(drug(name)), name


@pytest.mark.parametrize(
    ("smiles", "why"),
    [
        ("O=C(Cl)c1ccc(Cc2ccccc2)cc1", "a reactive group"),
        ("O=C1C(=Cc2ccc(O)cc2)SC(=S)N1CC", "rhodanine, one of PAINS"),
        ("CCO", "too light"),
        ("CCC(=O)NCCC(=O)" + "NCC(=O)" * 11 + "NC", "too heavy"),
        ("O=C1CCCCCCCCCCCN1", "a large ring"),
    ],
)
def test_filters_stop(smiles: str, why: str) -> None:
    assert not passes_filters(*molecules(smiles)), why


def test_alerts_have_names() -> None:
    assert alerts(drug("sildenafil")) == []
    assert any("rhod" in name for name in alerts(*molecules("O=C1C(=Cc2ccc(O)cc2)SC(=S)N1CC")))
