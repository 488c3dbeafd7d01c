from __future__ import annotations

import pytest
from rdkit.Chem.MolStandardize import rdMolStandardize

from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.in_process import LocalReward
from sequence_tutor.rewards.isolation.identify import identifier
from sequence_tutor.rewards.molecules import standard
from sequence_tutor.rewards.molecules.standard import standardize

CASES = [
    ("CC(=O)[O-].[Na+]", "CC(=O)O"),  # a salt
    ("CC(=O)O[Na]", "CC(=O)O"),  # a metal, drawn with a bond
    ("Cl.NCC", "CCN"),
    ("O.OCC", "CCO"),  # a solvent
    ("O=N(=O)c1ccccc1", "O=[N+]([O-])c1ccccc1"),  # charges that stay, as they can't be removed
    ("C[N+](C)(C)C.[Cl-]", "C[N+](C)(C)C"),
    ("C[C@H]([NH3+])C(=O)[O-]", "C[C@H](N)C(=O)O"),  # stereochemistry stays
    (r"C/C=C\C.Br", r"C/C=C\C"),
    ("[13CH3]O", "[13CH3]O"),
    ("OC=C", "C=CO"),  # tautomers aren't changed
]


def config(standardize: bool, component: str = "molecular_weight") -> RewardConfig:
    return RewardConfig.model_validate(
        {"component": [{"name": component}], "standardize": standardize}
    )


@pytest.mark.parametrize(("written", "expected"), CASES)
def test_the_standard_form(written: str, expected: str):
    assert standardize(written) == expected
    assert standardize(expected) == expected
    assert domain_of("smiles").key(expected) == expected


def test_the_key_and_the_score_are_those_of_the_standard_form():
    salt, acid = "[Na+].CC(=O)[O-]", "CC(=O)O"
    plain, standardized = build_reward(config(False)), build_reward(config(True))
    assert standardized.identify(salt).key == acid
    assert plain.identify(salt).key == "CC(=O)[O-].[Na+]"
    assert standardized.score([salt]).rewards == standardized.score([acid]).rewards
    assert plain.score([salt]).rewards > plain.score([acid]).rewards
    # also where keys are found beside the reward
    domain = domain_of("smiles")
    with LocalReward(config(True), "molecules") as reward:
        assert identifier(domain, reward)([salt])[0].key == acid


def test_a_function_of_the_user_gets_the_standard_form(monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []

    def function(smiles: str) -> float:
        seen.append(smiles)
        return 1.0

    for on in (True, False):
        part = {"name": "python", "function": function}
        wanted = RewardConfig.model_validate({"component": [part], "standardize": on})
        build_reward(wanted).score(["Cl.NCC"])
    assert seen == ["CCN", "Cl.NCC"]


def test_invalid_texts_and_failures_are_invalid_with_their_reason(monkeypatch: pytest.MonkeyPatch):
    reward = build_reward(config(True))
    assert reward.identify("C(").reason == build_reward(config(False)).identify("C(").reason != ""
    assert reward.identify("CCBr").key == "CCBr"

    def fail(mol: object) -> object:
        raise RuntimeError("no\nrule")

    monkeypatch.setattr(rdMolStandardize, "Cleanup", fail)
    standard.standardize.cache_clear()
    found = reward.identify("CCBr")
    assert (found.key, found.reason) == (None, "it has no standard form: no rule")
    assert reward.score(["CCBr"]).errors == [found.reason]
    standard.standardize.cache_clear()


def test_it_is_part_of_the_rewards_identity():
    assert config(True).identity() != config(False).identity()
    without = RewardConfig.model_validate({"component": [{"name": "molecular_weight"}]})
    assert config(False).identity() == without.identity()


def test_a_kind_without_a_standard_form_is_refused():
    with pytest.raises(ValueError, match="melodies have no standard form; leave it out"):
        build_reward(config(True, "tonic"), "melodies")
