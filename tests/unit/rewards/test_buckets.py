"""Buckets: against REINVENT4's diversity filters, and against slow restatements."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sequence_tutor.rewards.buckets import BucketRule, Leaders, factors
from sequence_tutor.rewards.domains import domain_of

FILE = (
    Path(__file__).resolve().parents[4]
    / "shared"
    / "data"
    / "reinvent4"
    / "reinvent4_diversity.json"
)
needs_file = pytest.mark.skipif(not FILE.is_file(), reason=f"shared/data/{FILE.name} is missing")

RUNS = 18
KINDS = {
    "IdenticalMurckoScaffold": "murcko_scaffold",
    "IdenticalTopologicalScaffold": "topological_scaffold",
    "ScaffoldSimilarity": "similar_scaffold",
}
MOLECULES = domain_of("smiles")


@cache
def data() -> dict[str, Any]:
    return json.loads(FILE.read_text())  # type: ignore[no-any-return]


def valid(columns: Sequence[Sequence[Any]]) -> list[Any]:
    """The values of all batches' valid molecules, in their order."""
    masks = [batch["mask"] for batch in data()["batches"]]
    pairs = zip(columns, masks, strict=True)
    return [v for column, mask in pairs for v, ok in zip(column, mask, strict=True) if ok]


def numbers(texts: Sequence[str]) -> np.ndarray:
    return np.unique(texts, return_inverse=True)[1].astype(np.int64)


def filtered(run: dict[str, Any], more: int = 0) -> np.ndarray:
    """Our rewards of the molecules of a run of REINVENT4; `more`: added to its bucket size."""
    params, smiles = run["all_params"], valid([b["smiles"] for b in data()["batches"]])
    scores = np.array(valid([b["scores"] for b in data()["batches"]]), float)
    if params["type"] == "PenalizeSameSmiles":  # the same text is one bucket with one place
        rule = BucketRule(1 + more, 0.0, params["penalty_multiplier"])
        return scores * factors(scores, numbers(smiles), rule)
    kind = KINDS[params["type"]]
    if run["scaffold_stereo"]:  # ours have no stereochemistry, so those of the file are taken
        buckets = numbers(valid(run["scaffolds"]))
    else:
        groups = [MOLECULES.group(one, kind) for one in smiles]
        if MOLECULES.groupings[kind].similar:
            leaders = Leaders(MOLECULES.compare(kind), params["minsimilarity"])
            buckets = leaders.buckets(groups)
        else:
            buckets = numbers(groups)
    rule = BucketRule(params["bucket_size"] + more, params["minscore"], 0.0)
    return scores * factors(scores, buckets, rule, smiles)


@needs_file
@pytest.mark.parametrize("number", range(RUNS))
def test_the_filters_of_reinvent4(number: int):
    assert len(data()["runs"]) == RUNS
    run = data()["runs"][number]
    expected = np.array(valid(run["filtered"]), float)
    assert np.isnan(expected).any() and (expected == 0).any()
    np.testing.assert_allclose(filtered(run), expected, rtol=0, atol=1e-9)


@needs_file
def test_control_another_bucket_size_gives_other_rewards():
    run = data()["runs"][1]
    assert run["all_params"]["bucket_size"] == 3
    expected = np.array(valid(run["filtered"]), float)
    assert not np.allclose(filtered(run, more=1), expected, equal_nan=True)


@needs_file
def test_scaffolds_are_those_of_reinvent4():
    smiles = valid([b["smiles"] for b in data()["batches"]])
    for run in data()["runs"]:
        kind = KINDS.get(run["params"]["type"], "")
        if kind in ("murcko_scaffold", "topological_scaffold") and not run["scaffold_stereo"]:
            # a molecule without a score has its scaffold in the file too
            assert valid(run["scaffolds"]) == [MOLECULES.group(s, kind) for s in smiles]


def slow_factors(
    rewards: np.ndarray, buckets: np.ndarray, rule: BucketRule, keys: list[str]
) -> list[float]:
    taken: Counter[int] = Counter()
    seen, found = set(), []
    for reward, bucket, key in zip(rewards.tolist(), buckets.tolist(), keys, strict=True):
        lowered = key in seen
        if not lowered and reward >= rule.min_score:
            seen.add(key)
            lowered = taken[bucket] >= rule.bucket_size
            taken[bucket] += 1
        found.append(rule.penalty_multiplier if lowered else 1.0)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_factors_equal_a_slow_restatement(seed: int):
    random = np.random.default_rng(seed)
    rewards = random.random(300)
    rewards[random.integers(300, size=20)] = math.nan
    buckets = random.integers(12, size=300)
    keys = [f"key {i}" for i in random.integers(200, size=300)]
    rule = BucketRule(5, 0.3, 0.25)
    assert factors(rewards, buckets, rule, keys).tolist() == slow_factors(
        rewards, buckets, rule, keys
    )
    distinct = [str(i) for i in range(300)]
    without = factors(rewards, buckets, rule)
    assert without.tolist() == slow_factors(rewards, buckets, rule, distinct)
    assert (without != factors(rewards, buckets, rule, keys)).any()


def test_nothing_has_no_factors():
    none = factors(np.zeros(0), np.zeros(0, np.int64), BucketRule(1, 0.0, 0.0))
    assert none.shape == (0,)


@pytest.mark.parametrize(
    "wrong", [(0, 0.4, 0.0), (1, -0.1, 0.0), (1, math.nan, 0.0), (1, 0.4, 1.1), (1, 0.4, -0.1)]
)
def test_rules_that_could_raise_a_reward_are_refused(wrong: tuple[int, float, float]):
    with pytest.raises(ValueError, match="bucket_size"):
        BucketRule(*wrong)


def closeness(group: str, others: Sequence[str]) -> np.ndarray:
    """Groups are numbers; those that differ by d have the similarity 1 / (1 + d)."""
    return np.array([1 / (1 + abs(float(group) - float(other))) for other in others])


def slow_leaders(groups: Sequence[str], least: float) -> list[str]:
    leaders: list[str] = []
    found = []
    for group in groups:
        best, nearest = -1.0, ""
        for leader in leaders:
            similarity = 1.0 if leader == group else float(closeness(group, [leader])[0])
            if similarity > best:
                best, nearest = similarity, leader
        if best < least:
            leaders.append(group)
            nearest = group
        found.append(nearest)
    return found


def test_similar_groups_follow_the_most_similar_leader():
    """Also when the same object is asked again for other rows in another order: its memory only
    saves work."""
    random = np.random.default_rng(0)
    asked: list[int] = []

    def compare(group: str, others: Sequence[str]) -> np.ndarray:
        asked.append(len(others))
        return closeness(group, others)

    kept = Leaders(compare, 0.25)
    for _ in range(6):
        groups = [str(x) for x in random.integers(40, size=60).tolist()]
        expected = slow_leaders(groups, 0.25)
        assert 1 < len(set(expected)) < len(set(groups))
        numbered = {name: i for i, name in enumerate(dict.fromkeys(expected))}
        assert kept.buckets(groups).tolist() == [numbered[name] for name in expected]
        kept.buckets(groups)  # with those that have led only after they were asked
        before = sum(asked)
        kept.buckets(groups)
        assert sum(asked) == before


@pytest.mark.parametrize(
    ("kind", "same", "other"),
    [
        ("murcko_scaffold", ["C[C@H](N)c1ccccc1", "Clc1ccccc1"], "Cc1ccncc1"),
        ("topological_scaffold", ["Cc1ccncc1", "C1CCCCC1O"], "C1CCCC1"),
        ("same_molecule", ["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "[2H]OC(=O)C(C)N"], "CC(N)C=O"),
        ("murcko_scaffold", ["CCO", "CCCC"], "C1CC1"),
    ],
)
def test_groups_of_molecules(kind: str, same: list[str], other: str):
    groups = {MOLECULES.group(str(MOLECULES.key(smiles)), kind) for smiles in same}
    assert len(groups) == 1
    assert MOLECULES.group(str(MOLECULES.key(other)), kind) not in groups


def test_a_molecule_without_a_scaffold_of_its_kind_is_a_group_of_its_own():
    """No carbon atom has six bonds."""
    key = "C1CS123(CC2)CC3"
    assert MOLECULES.key(key) == key
    assert MOLECULES.group(key, "topological_scaffold") == key


def test_molecules_are_compared_by_their_fragments():
    compare = MOLECULES.compare("similar_molecule")
    aspirin, salicylate, cyclohexane = "CC(=O)Oc1ccccc1C(=O)O", "O=C(O)c1ccccc1O", "C1CCCCC1"
    values = compare(aspirin, [aspirin, salicylate, cyclohexane])
    assert values[0] == 1 and 0.3 < values[1] < 0.7 and values[2] < 0.1
    scaffolds = MOLECULES.compare("similar_scaffold")("c1ccccc1", ["c1ccccc1", "c1ccncc1", ""])
    assert scaffolds[0] == 1 and 0 < scaffolds[1] < 1 and scaffolds[2] == 0


def test_the_incipit_of_a_melody_is_the_same_in_every_key():
    melodies = domain_of("melody")
    two_bars = "C4---E4---G4-------.---C5-------A4---"
    in_d = "D4---F#4---A4-------.---D5-------B4---"
    incipit = melodies.group(two_bars, "incipit")
    assert len(incipit.split()) == 32 and melodies.group(in_d, "incipit") == incipit
    assert melodies.group(two_bars + "C4---", "incipit") == incipit
    assert melodies.group(two_bars.replace("E4", "F4"), "incipit") != incipit
    assert melodies.group("-" * 32, "incipit") == " ".join("-" * 32)
