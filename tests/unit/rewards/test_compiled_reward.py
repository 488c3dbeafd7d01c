"""The compiled reward: configuration errors, failures, and numbers worked out by hand."""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sequence_tutor.rewards import registry
from sequence_tutor.rewards.base import Scores, Status, unpriced
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.molecules import paper_objective as paper
from sequence_tutor.rewards.molecules.molecule import Molecule, parse
from sequence_tutor.rewards.registry import component

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def compiled(*parts: dict[str, Any], **section: Any) -> Any:
    return build_reward(RewardConfig.model_validate({"component": list(parts), **section}))


def scored(sequences: list[str], *parts: dict[str, Any], **section: Any) -> Scores:
    return compiled(*parts, **section).score(sequences)


# Functions for the `python` component. In importlib mode this module has no import path, so they
# are registered as a module of their own.
class _Plugin:
    @staticmethod
    def shy(smiles: str) -> float:
        if "N" in smiles:
            raise RuntimeError("no nitrogen please")
        return {"C": math.nan, "CC": math.inf, "CCC": "three"}.get(smiles, 0.5)  # type: ignore

    @staticmethod
    def lengths(smiles: list[str]) -> list[int]:
        return [len(s) for s in smiles]

    @staticmethod
    def hungry(smiles: str | list[str]) -> float:
        raise MemoryError

    @staticmethod
    def short(smiles: list[str]) -> list[int]:
        return [1]


sys.modules["_rewards_test_plugin"] = _Plugin  # type: ignore[assignment]


def python(name: str, **options: Any) -> dict[str, Any]:
    return {"name": "python", "function": f"_rewards_test_plugin:{name}", **options}


def test_qed_agrees_with_the_reference() -> None:
    path = DATA / "pmo_reference.csv.gz"
    if not path.exists() and not os.environ.get("CI"):
        pytest.skip("shared/data/pmo_reference.csv.gz is missing")
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    scores = scored([r["smiles"] for r in rows], {"name": "qed"})
    ok = scores.status == Status.OK
    assert 400 < ok.sum() < len(rows)  # the file has invalid ones on purpose
    expected = np.array([float(r["qed"]) for r in rows])
    np.testing.assert_allclose(scores.rewards[ok], expected[ok], atol=1e-9)


@pytest.mark.parametrize(
    ("name", "smiles", "expected"),
    [
        ("molecular_weight", ASPIRIN, 180.159),
        ("tpsa", ASPIRIN, 63.60),  # Ertl 2000
        ("hbd", ASPIRIN, 1),
        ("aromatic_ring_count", "c1ccc2ccccc2c1", 2),
        ("ring_count", "C1CC1C1CC1", 2),
        ("rotatable_bonds", "CCCC", 1),
        ("ring_penalty", "C1CCCCCCC1", -2),
        ("ring_penalty", ASPIRIN, 0),
        ("validity", "C", 1),
    ],
)
def test_components_return_known_values(name: str, smiles: str, expected: float) -> None:
    assert scored([smiles], {"name": name}).rewards[0] == pytest.approx(expected, abs=1e-2)


def test_penalised_logp_plain_and_normalised() -> None:
    m = Molecule("C1CCCCCCC1", parse("C1CCCCCCC1"))
    plain = scored([m.smiles], {"name": "penalised_logp"}).rewards[0]
    assert plain == pytest.approx(m.logp - m.sa - 2)
    normal = scored([m.smiles], {"name": "penalised_logp", "normalized": True}).rewards[0]
    by_hand = (m.logp - 2.4571) / 1.43432 + (3.05258 - m.sa) / 0.83352 + (-2 + 0.04857) / 0.28602
    assert normal == pytest.approx(by_hand, abs=1e-3)


def test_similarity_and_substructure() -> None:
    acid = {"name": "substructure", "smarts": "C(=O)[OH]"}
    assert scored([ASPIRIN, "CCO"], acid).rewards.tolist() == [1, 0]
    assert scored([ASPIRIN, "CCO"], acid | {"absent": True}).rewards.tolist() == [0, 1]
    rewards = scored(["OC(=O)c1ccccc1OC(C)=O", "CCO"], {"name": "similarity", "smiles": ASPIRIN})
    assert rewards.rewards[0] == 1.0 and rewards.rewards[1] < 0.5


def test_weights_and_labels_of_a_mean() -> None:
    parts = [
        {"name": "hbd", "transform": {"type": "linear", "low": 0, "high": 4}},
        {"name": "hbd", "weight": 3.0, "transform": {"type": "step", "low": 1}},
        {"name": "validity", "weight": 0.0, "label": "alive"},
    ]
    scores = scored(["CCO", "C1"], *parts)
    assert list(scores.raw) == ["hbd", "hbd_2", "alive"]
    assert scores.transformed["hbd"][0] == 0.25
    assert scores.rewards.tolist() == [0.8125, 0.0]
    geometric = scored(["CCO"], *parts, aggregate="geometric_mean", invalid=-1).rewards
    assert geometric[0] == pytest.approx(0.25**0.25)


def test_invalid_sequences_get_the_invalid_reward() -> None:
    scores = scored(["", "C1", "CC junk", "CC"], {"name": "validity"}, invalid=-3)
    assert scores.status.tolist() == [1, 1, 1, 0]
    assert scores.rewards.tolist() == [-3, -3, -3, 1]
    assert np.isnan(scores.raw["validity"][:3]).all()


def test_a_failure_is_nan_and_concerns_one_sequence() -> None:
    scores = scored(["CCO", "CN", "C", "CC", "CCC", "C1"], python("shy"))
    assert scores.status.tolist() == [0, 4, 4, 4, 4, 1]
    assert scores.rewards[0] == 0.5 and np.isnan(scores.rewards[1:5]).all()
    assert scores.errors[1] == "python: RuntimeError: no nitrogen please"
    assert scores.errors[2:5] == [
        "python: returned nan",
        "python: returned inf",
        "python: returned str, not a number",
    ]


def test_a_batched_function_must_return_a_value_per_sequence() -> None:
    rewards = scored(["CC", "C1", "C"], python("lengths", batched=True)).rewards
    np.testing.assert_array_equal(rewards, [2, np.nan, 1])
    short = scored(["CC", "C1", "C"], python("short", batched=True))
    assert short.status.tolist() == [4, 1, 4]
    assert "returned 1 values for 2 sequences" in short.errors[0]


def test_geometric_mean_fails_the_item_that_leaves_the_range() -> None:
    scores = scored(["C", "CC"], python("lengths", batched=True), aggregate="geometric_mean")
    assert scores.status.tolist() == [0, 4] and "outside 0..1" in scores.errors[1]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"component": [{"name": "qde"}]}, r"unknown reward.component 'qde'.*did you mean 'qed'"),
        ({"component": [{"name": "qed", "radius": 2}]}, "unknown option of component 'qed'"),
        ({"component": [{"name": "similarity"}]}, "'similarity' needs the option 'smiles'"),
        ({"component": [{"name": "similarity", "smiles": "C1"}]}, "not a valid molecule"),
        ({"component": [{"name": "substructure", "smarts": "(("}]}, "not a valid pattern"),
        ({"component": [{"name": "similarity", "smiles": 3}]}, "option 'smiles' of component"),
        ({"component": [{"name": "qed", "transform": {"type": "sigmod"}}]}, "mean 'sigmoid'"),
        (
            {"component": [{"name": "qed", "transform": {"type": "step", "lo": 1}}]},
            "unknown option of transform 'step'.*allowed: high, low",
        ),
        (
            {
                "component": [
                    {"name": "qed", "transform": {"type": "sigmoid", "low": -math.inf, "high": 1.0}}
                ]
            },
            "option 'low' of transform 'sigmoid' must be finite, got -inf",
        ),
        (
            {"component": [{"name": "qed", "transform": {"type": "scale", "factor": math.nan}}]},
            "option 'factor' of transform 'scale' must be finite, got nan",
        ),
        ({"component": [{"name": "qed"}], "agregate": "x"}, "did you mean 'aggregate'"),
        ({"component": [{"name": "qed"}], "aggregate": "mean"}, "unknown aggregate 'mean'"),
        ({"component": [{"name": "logp"}], "aggregate": "geometric_mean"}, "component in 0..1"),
        ({"component": [{"name": "qed", "weight": 0}]}, "weight above 0"),
        ({"component": [{"name": "python", "function": "json:nothing"}]}, "no function 'nothing'"),
        ({"component": [{"name": "python", "function": "no_such_room:f"}]}, "'no_such_room'"),
        (
            {"component": [{"name": "sequence_tutor", "prefix_terms": True}, {"name": "qed"}]},
            "only component",
        ),
    ],
)
def test_a_config_mistake_is_one_sentence(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_reward(RewardConfig.model_validate(section))


def test_control_a_step_may_have_an_infinite_limit() -> None:
    """Negative control of the limits on transforms."""
    transform = {"type": "step", "low": 0.1, "high": math.inf}
    assert scored(["CCO"], {"name": "qed", "transform": transform}).rewards[0] == 1.0


def test_a_config_round_trips_through_json() -> None:
    section = {"component": [{"name": "similarity", "smiles": "CC", "transform": {"type": "step"}}]}
    config = RewardConfig.model_validate(section)
    assert RewardConfig.model_validate(json.loads(config.model_dump_json())) == config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("timeout_s", 0),
        ("timeout_s", math.inf),
        ("memory_mb", 0),
        ("retries", -1),
        ("failed", math.nan),
        ("waiting", -1),
    ],
)
def test_limits_out_of_range_raise(key: str, value: float) -> None:
    with pytest.raises(ValueError, match=key):
        RewardConfig.model_validate({"component": [{"name": "qed"}], key: value})


def test_identity_depends_on_what_determines_a_score() -> None:
    def identity(*parts: dict[str, Any], **section: Any) -> str:
        return RewardConfig.model_validate({"component": list(parts), **section}).identity()

    one = {"name": "similarity", "smiles": "CC"}
    plain = identity(one)
    assert len(plain) == 16 and int(plain, 16) >= 0
    assert plain == identity(
        dict(reversed(one.items())), timeout_s=1, memory_mb=1, retries=3, failed=-1, waiting=0
    )
    others = [
        identity(one | {"weight": 2}),
        identity(one | {"smiles": "CCC"}),
        identity(one | {"radius": 3}),
        identity(one | {"transform": {"type": "step", "low": -math.inf}}),
        identity(one | {"transform": {"type": "step", "low": 1}}),
        identity(one, {"name": "qed"}),
        identity({"name": "qed"}, one),
        identity(one, aggregate="sum"),
        identity(one, invalid=-1),
    ]
    assert len({plain, *others}) == 1 + len(others)


def test_a_failure_gets_the_failed_reward() -> None:
    scores = scored(["CCO", "CN", "C1"], python("shy"), failed=-4, invalid=-1)
    assert scores.status.tolist() == [0, 4, 1]
    assert scores.rewards.tolist() == [0.5, -4, -1]
    assert np.isnan(scores.raw["python"][1])


def test_a_memory_error_propagates() -> None:
    with pytest.raises(MemoryError):
        scored(["C", "CCO"], python("hungry"))
    with pytest.raises(MemoryError):
        scored(["C", "CCO"], python("hungry", batched=True))


def test_judges_batches_follows_from_the_components() -> None:
    def judges(*parts: dict[str, Any], domain: str = "melodies") -> bool:
        config = RewardConfig.model_validate({"component": list(parts)})
        return build_reward(config, domain).judges_batches

    assert judges({"name": "music_theory"})
    assert not judges({"name": "music_theory"}, python("shy"))
    assert judges({"name": "music_theory"}, python("lengths", batched=True))
    assert judges(python("lengths", batched=True), python("shy"), domain="molecules")
    assert not judges({"name": "qed"}, python("shy"), domain="molecules")


def test_a_wrong_registration_raises() -> None:
    with pytest.raises(TypeError, match="can't be set by name"):
        component("x", domain="molecules")(lambda molecule, *rest: 0.0)
    with pytest.raises(ValueError, match="registered already"):
        component("qed", domain="molecules")(lambda molecule: 0.0)
    with pytest.raises(ValueError, match="may not have an option 'weight'"):
        component("x", domain="molecules")(lambda molecule, weight=1: 0.0)


def test_components_of_entry_points_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        name, value = "carbons", "plugin:carbons"

        def load(self) -> None:
            component("carbons", domain="molecules")(lambda molecule: molecule.smiles.count("C"))

    monkeypatch.setattr(registry, "entry_points", lambda group: [Entry()])
    monkeypatch.setattr(registry, "_COMPONENTS", dict(registry._COMPONENTS))
    registry._load_entry_points.cache_clear()
    assert scored(["CCO"], {"name": "carbons"}).rewards.tolist() == [2]


def test_paper_objective_by_hand() -> None:
    long = "CC(=O)Oc1ccccc1C(=O)Nc1ccc(Cl)cc1"
    m = Molecule(long, parse(long))
    assert len(m.tokens) == 32
    raw = 600 + 10 * (2 * -m.sa + 3 * m.logp + 50 * m.qed + 5 * m.ring_penalty)
    scores = scored(
        [long, "C1", "C" * 12, "C" * 13, "(" * 19, "(" * 27], {"name": "sequence_tutor"}
    )
    assert scores.rewards[0] == pytest.approx((raw - 600) / 10)
    assert scores.rewards[[1, 4, 5]].tolist() == [-80, -62.5, -60]
    chains = [Molecule(s, parse(s)) for s in ("C" * 12, "C" * 13)]
    assert scores.rewards[2] == pytest.approx(paper.quality(chains[0]) - 20)
    assert scores.rewards[3] == pytest.approx(paper.quality(chains[1]) - 20 - 15)


def test_prefix_terms_by_hand() -> None:
    reward = compiled({"name": "sequence_tutor", "prefix_terms": True})
    scores = reward.score(["CC(C)", "C("], [["C", "C", "(", "C", ")"], ["C", "("]])
    one = (5 + paper.quality(Molecule("C", parse("C")))) / 10
    two = (5 + paper.quality(Molecule("CC", parse("CC")))) / 10
    end = paper.quality(Molecule("CC(C)", parse("CC(C)"))) - 20
    assert scores.step_rewards.dtype == np.float32
    expected = [[0, one, two, -0.5, -0.5, end], [0, one, -80, 0, 0, 0]]
    np.testing.assert_allclose(scores.step_rewards, expected, rtol=1e-6)
    np.testing.assert_allclose(scores.step_rewards.sum(1), scores.rewards, rtol=1e-5)
    assert scored(["C"], {"name": "sequence_tutor"}).step_rewards is None


def test_no_sequences_give_no_rewards() -> None:
    assert scored([], {"name": "qed"}).rewards.shape == (0,)


def test_rewards_import_without_torch_and_ray() -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['ray'] = None\n"
        "from sequence_tutor.rewards import compile\n"
        "from sequence_tutor.rewards.molecules import domain, components\n"
        "assert not any(n.startswith('sequence_tutor.policies') for n in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_an_invalid_sequence_without_known_worth_is_unpriced() -> None:
    """The reward of failures is not used for invalid sequences."""
    negated = {"name": "molecular_weight", "transform": {"type": "negate"}}
    scores = scored(["CCO", "C1"], negated, failed=-4)
    assert scores.status.tolist() == [0, 1]
    assert scores.errors == ["", "SMILES syntax error: unclosed ring"]
    assert scores.rewards[0] < -46 and np.isnan(scores.rewards[1])
    assert unpriced(scores.rewards, scores.status).tolist() == [False, True]
    sums = [{"name": "sa", "transform": {"type": "negate"}}, {"name": "qed"}]
    assert scored(["CCO", "C1"], *sums, aggregate="sum").rewards[1] == -10
    assert scored(["CCO", "C1"], *sums).rewards[1] == -5
    assert scored(["C1"], {"name": "qed"}, {"name": "validity"}).rewards[0] == 0
