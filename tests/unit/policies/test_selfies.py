"""Molecules as SELFIES, against the package itself and RDKit."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import selfies
from rdkit import Chem

from sequence_tutor.policies.encodings.registry import encoding_from_metadata, encoding_to_metadata
from sequence_tutor.policies.encodings.selfies import SelfiesEncoding
from sequence_tutor.rewards.domains import domain_named, domain_of, name_of

CORPUS = ["CC(=O)Nc1ccc(O)cc1", "C[C@H](N)C(=O)O", "O=[N+]([O-])c1ccccc1Br", "C1CC1"]


@pytest.fixture
def encoding() -> SelfiesEncoding:
    return SelfiesEncoding.fit(CORPUS, max_length=30)


@pytest.mark.parametrize("smiles", CORPUS)
def test_a_molecule_comes_back(encoding: SelfiesEncoding, smiles: str):
    actions = encoding.encode(smiles)
    symbols = list(selfies.split_selfies(selfies.encoder(smiles)))
    assert encoding.vocabulary.decode(actions[:-1].tolist()) == symbols
    assert actions[-1] == encoding.vocabulary.end_id
    assert Chem.CanonSmiles(encoding.decode(actions)) == Chem.CanonSmiles(smiles)


def test_any_symbols_are_a_molecule(encoding: SelfiesEncoding):
    random = np.random.default_rng(0)
    for _ in range(100):
        actions = random.integers(1, encoding.vocabulary.size, 20).astype(np.int16)
        assert Chem.MolFromSmiles(encoding.decode(actions)) is not None


def test_what_it_cannot_express(encoding: SelfiesEncoding):
    with pytest.raises(ValueError, match="is not in the vocabulary"):
        encoding.encode("CI")
    with pytest.raises(ValueError, match="SELFIES can't express 'c1ccc'"):
        encoding.encode("c1ccc")


def test_it_is_an_encoding_of_molecules(encoding: SelfiesEncoding):
    assert name_of("selfies") == domain_of("selfies").name == "molecules"
    assert type(domain_named("molecules")) is type(domain_of("selfies"))
    again = encoding_from_metadata(encoding_to_metadata(encoding))
    assert again.encode(CORPUS[0]).tolist() == encoding.encode(CORPUS[0]).tolist()


def test_without_the_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "selfies", None)
    with pytest.raises(ValueError, match="pip install 'sequence-tutor\\[selfies\\]'"):
        SelfiesEncoding.fit(CORPUS)
