"""`molecules.identity`: what tells two molecules apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_runs import rows
from rdkit import Chem
from rich.console import Console

import sequence_tutor.distributed as tutor
from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, parse_config, to_toml
from sequence_tutor.rewards.isolation.reward import IsolatedReward
from sequence_tutor.rewards.molecules.domain import MoleculeDomain
from sequence_tutor.rewards.molecules.same import DEFAULT, FEATURES, reduced

# Two spellings that differ in one feature alone, and the key without it.
PAIRS = {
    "salt": ("CC[NH3+].[Cl-]", "CC[NH3+]", "CC[NH3+]"),
    "charge": ("CC(=O)[O-]", "CC(=O)O", "CC(=O)O"),
    "isotope": ("[2H]C([2H])([2H])[13CH2]O", "CCO", "CCO"),
    "tautomer": ("Oc1ccccn1", "O=c1cccc[nH]1", "O=c1cccc[nH]1"),
    "stereo": ("C[C@H](N)/C=C/O", "C[C@@H](N)/C=C\\O", "CC(N)C=CO"),
    "atom_maps": ("[CH3:1]C[OH:2]", "CCO", "CCO"),
}


def without(feature: str) -> MoleculeDomain:
    return MoleculeDomain(tuple(f for f in FEATURES if f != feature))


@pytest.mark.parametrize("feature", FEATURES)
def test_what_is_not_listed_tells_nothing_apart(feature: str):
    first, second, key = PAIRS[feature]
    assert without(feature).key(first) == without(feature).key(second) == key
    assert MoleculeDomain(FEATURES).key(first) != MoleculeDomain(FEATURES).key(second)
    others = [one for one in FEATURES if one != feature]
    for other in others:  # which it still tells apart
        assert without(feature).key(PAIRS[other][0]) != without(feature).key(PAIRS[other][1])


def test_keys_are_their_own_keys(molecules: list[str]):
    odd = [
        "C[N+](C)(C)CC(=O)[O-]",
        "[Na+].[O-]C(=O)[C@@H](N)Cc1c[nH]cn1",
        "Cc1nnn[nH]1",
        "[2H][2H]",
    ]
    for feature in FEATURES:
        domain = without(feature)
        for smiles in [*molecules[:100], *odd]:
            key = domain.key(smiles)
            assert key is not None and domain.key(key) == key


def test_the_default_is_the_key_as_ever(molecules: list[str]):
    for smiles in [*molecules[:50], "C[C@H](N)O", "[CH3:7]C"]:
        plain = Chem.MolFromSmiles(smiles)
        assert Chem.MolToSmiles(reduced(plain, DEFAULT)) == MoleculeDomain().key(smiles)


def test_a_run_scores_one_of_each(
    make_run: Callable[..., RunConfig], quiet: Console, tmp_path: Path
):
    keep = [feature for feature in DEFAULT if feature != "salt"]
    run = make_run(molecules={"identity": keep}, stop={"scores": 40})
    out = tmp_path / "run"
    optimize(run, out, quiet, Options(local=True))
    found = rows(out)
    domain = MoleculeDomain().telling_apart(tuple(keep))
    valid = [key for key in found.keys if not key.startswith("invalid:")]
    assert len(valid) >= 40 and [domain.key(key) for key in valid] == valid
    # it goes on from its own file, and with another choice it would be another reward
    again = parse_config({**run.model_dump(by_alias=True), "stop": {"scores": 50}})
    optimize(again, out, quiet, Options(local=True, resume=True))
    assert len(rows(out)) > len(found)
    assert run.reward.identity() != make_run().reward.identity()
    assert to_toml(again).count("identity = [") == 1
    # a run with the usual choice takes its scores, under its own keys
    later = tmp_path / "later"
    usual = make_run(stop={"scores": 20})
    optimize(usual, later, quiet, Options(local=True, warm_start=out))
    taken = rows(later)
    known = [i for i, source in enumerate(taken.sources) if source == "warm-start"]
    assert known and [MoleculeDomain().key(taken.sequences[i]) for i in known] == [
        taken.keys[i] for i in known
    ]
    assert np.isfinite(taken.rewards[known]).all()


def test_score_and_its_processes_know_the_choice(make_run: Callable[..., RunConfig]):
    run = make_run(molecules={"identity": ["charge", "isotope", "tautomer", "stereo"]})
    table = tutor.score(run, ["CCO.[Na+].[Cl-]", "CCO", "C[C@H](N)O"]).to_pydict()
    assert table["key"] == ["CCO", "CCO", "C[C@H](N)O"]
    assert table["raw.logp"][0] == table["raw.logp"][1]  # one score for both
    with IsolatedReward(run.reward, "molecules") as reward:
        assert [one.key for one in reward.identify(["CCO.Cl", "CCO"])] == ["CCO", "CCO"]


@pytest.mark.parametrize(
    ("config", "parts"),
    [
        ({"molecules": {"identity": ["sterio"]}}, ["molecules.identity", "'stereo'?"]),
        ({"molecules": {"identiti": ["stereo"]}}, ["[molecules]", "'identity'?"]),
        ({"kind": {"identity": ["stereo"]}}, ["'kind'", "[molecules]"]),
        ({"melodies": {"identity": ["stereo"]}}, ["melodies"]),
        (
            {"encoding": "melody", "prior": "lieder", "melodies": {"identity": ["salt"]}},
            ["melodies.identity", "melodies have no choice"],
        ),
    ],
)
def test_mistakes_are_one_sentence(config: dict[str, Any], parts: list[str]):
    reward = {"component": [{"name": "qed"}]}
    with pytest.raises(ConfigError) as error:
        parse_config({"reward": reward, "stop": {"scores": 1}, **config})
    for part in parts:
        assert part in str(error.value)
