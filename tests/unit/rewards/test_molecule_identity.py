"""Which texts are molecules and which are the same one, with real RDKit and its contradictions."""

from __future__ import annotations

import gzip
import random
import time
from pathlib import Path

import pytest
from rdkit import Chem

from sequence_tutor.rewards.molecules.domain import MoleculeDomain
from sequence_tutor.rewards.molecules.identity import (
    MAX_ATOMS,
    MAX_CHARACTERS,
    Identified,
    identify,
)

# RDKit's canonical form of the first is the second, which it can't read
UNREADABLE = "O=C1C2=n(CCC2)N/C1=C\\c1c(Cl)cccc1Cl"
ITS_FORM = "O=c1c2n([nH]/c1=C\\c1c(Cl)cccc1Cl)CCC2"
# each is RDKit's canonical form of the other
FLIP = "O=C(c1ccccc1C(=O)N1C(=O)c2ccccc2C1=O)N1C(=O)c2ccccc2C1=O"
FLOP = "O=C1c2ccccc2C(=O)N1C(=O)c1ccccc1C(=O)N1C(=O)c2ccccc2C1=O"


def canonical(smiles: str) -> str:
    """RDKit's canonical form, not read back."""
    return str(Chem.MolToSmiles(Chem.MolFromSmiles(smiles)))


def test_control_rdkit_still_disagrees_with_itself() -> None:
    assert canonical(UNREADABLE) == ITS_FORM and Chem.MolFromSmiles(ITS_FORM) is None
    assert (canonical(FLIP), canonical(FLOP)) == (FLOP, FLIP)


@pytest.mark.parametrize("texts", [(UNREADABLE, ITS_FORM), (ITS_FORM, UNREADABLE)])
def test_a_molecule_whose_form_is_unreadable_is_invalid(texts: tuple[str, str]) -> None:
    found = [identify(text) for text in texts]
    assert [one.key for one in found] == [None, None]
    by_text = dict(zip(texts, found, strict=True))
    assert by_text[UNREADABLE].reason.startswith("RDKit can't read its own canonical form O=c1c2")
    assert by_text[ITS_FORM].reason == "Can't kekulize mol. Unkekulized atoms: 2"


def test_two_canonical_forms_of_a_molecule_have_one_key() -> None:
    assert identify(FLIP).key == identify(FLOP).key == min(FLIP, FLOP)


def test_a_key_is_its_own_key() -> None:
    path = Path(__file__).parents[4] / "shared" / "data" / "zinc250k.smi.gz"
    texts = [FLIP, FLOP, "[CH3:7]C", "C[C@@H](N)C(=O)O", "F/C=C/F", "[2H]C", "c1ccccc1.[Na+]"]
    if path.is_file():
        with gzip.open(path, "rt") as file:
            texts += random.Random(0).sample([line.split()[0] for line in file], 1000)
    for text in texts:
        key = identify(text).key
        assert key is not None and identify(key).key == key, text


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[CH3:1][OH:2]", "CO"),  # atom maps are labels
        ("[CH3:1]C([CH3:2])C", "CC(C)C"),
        ("[13CH4]", "[13CH4]"),  # isotopes are part of the molecule
        ("[2H]OC", "[2H]OC"),
        ("[H]C([H])([H])O", "CO"),
        ("c1:c:c:c:c:c:1O", "Oc1ccccc1"),
        ("C%12CCCC%12", "C1CCCC1"),
        ("CCO |$_AV:a;b;c$|", None),  # CXSMILES: readers of files cut it off
        ("CC junk", None),
    ],
)
def test_keys_drop_atom_maps_and_keep_isotopes(text: str, key: str | None) -> None:
    assert identify(text).key == key


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("C(", "SMILES syntax error at character 2"),
        ("C1CC", "SMILES syntax error: unclosed ring"),
        ("[Xx]", "SMILES syntax error at character 2"),
        ("CC(C)(C)(C)C", "Explicit valence for atom # 1 C, 5, is greater than permitted"),
        ("c1cccc1", "Can't kekulize mol. Unkekulized atoms: 0 1 2 3 4"),
        ("C\0C", "SMILES syntax error: it has the character '\\x00' in it"),
        ("C\U0001f600", "SMILES syntax error: it has the character '\\U0001f600' in it"),
        ("C\u202eC", "SMILES syntax error: it has the character '\\u202e' in it"),
        ("C\tC", "SMILES syntax error: it has white space in it"),
        ("C\u00a0C", "SMILES syntax error: it has white space in it"),
        ("C" * (MAX_ATOMS + 1), "1,001 atoms, more than 1,000"),
        ("C12" * 402 + "[13CH3]", "402 rings, more than 400"),
        ("[CH2:1]" * 1001, "1,001 atoms, more than 1,000"),
        ("c1ccc(cc1)" * 1025 + "C", "longer than 10,000 characters"),
        ("(" * 1_000_000, "longer than 10,000 characters"),
    ],
)
def test_an_invalid_text_has_a_reason(text: str, reason: str) -> None:
    assert identify(text) == Identified(None, None, reason)


def test_molecules_at_the_limits_take_under_5_s() -> None:
    """Molecules of shapes that are slow in RDKit, at the size limits. Counts CPU seconds."""
    lattice = "".join(f"C%{10 + i}" for i in range(80))
    shapes = {
        "chain": "C" * MAX_ATOMS,
        "branches": "C(" * (MAX_ATOMS - 1) + "C" + ")" * (MAX_ATOMS - 1),
        "double bonds": ("C" + "/C=C/C" * 333)[:MAX_CHARACTERS],
        "stereocentres": "C" + "[C@@H](O)" * 499 + "C",
        "rings": "C1CCCCC1" * 166,
        "fragments": ".".join(["CCO"] * 333),
        "many rings open": lattice + lattice,
        "phenyls": "c1ccc(cc1)" * 166 + "C",
    }
    for name, text in shapes.items():
        before = time.process_time()
        found = identify(text)
        assert found.key is not None or found.reason, name
        assert time.process_time() - before < 5, name


def test_the_domain_agrees_with_identify() -> None:
    domain = MoleculeDomain()
    texts = ["CCO", UNREADABLE, "C(", "C" * 2000, FLIP]
    assert [domain.key(t) for t in texts] == [identify(t).key for t in texts]
    assert domain.metrics(texts)["valid"] == 0.4
