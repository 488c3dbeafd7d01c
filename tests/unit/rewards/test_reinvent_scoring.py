"""Scoring sections of REINVENT4 as rewards of ours, by the totals that it gives."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sequence_tutor.rewards import transforms
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.registry import components
from sequence_tutor.rewards.reinvent.components import KNOWN, OTHERS, PLAIN
from sequence_tutor.rewards.reinvent.notes import ConversionError, Notes, plain
from sequence_tutor.rewards.reinvent.scoring import reward_of
from sequence_tutor.rewards.reinvent.transforms import NotThereError, transform_of

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "data" / "reinvent4"


def section(
    name: str, *endpoints: dict[str, Any], kind: str = "geometric_mean", **more: Any
) -> Any:
    return {"type": kind, "component": [{name: {"endpoint": list(endpoints), **more}}]}


STEP = {"type": "step", "low": 1, "high": 3}


def rows(given: Any) -> list[dict[str, Any]]:
    return reward_of(given, Notes())["component"]  # type: ignore[no-any-return]


def runs() -> list[dict[str, Any]]:
    file = DATA / "reinvent4_aggregation.json"
    return json.loads(file.read_text())["scorer_runs"] if file.is_file() else []


@pytest.mark.parametrize("run", runs(), ids=lambda r: f"{r['case']}, {r['config']['type']}")
def test_totals_equal_those_of_reinvent4(run: dict[str, Any]):
    """Not compared: invalid and repeated molecules; one with NaN, which fails here; and where a
    geometric mean has a 0, which is 1e-8 there."""
    notes, geometric = Notes(), run["config"]["type"] == "geometric_mean"
    unbounded = any(c["component"] == "rdkitdescriptors" for c in run["components"])
    if geometric and unbounded and len(run["config"]["component"]) == 1:
        with pytest.raises(ConversionError, match="charge.*beyond 0..1"):
            reward_of(run["config"], notes)
        return
    config = RewardConfig.model_validate(reward_of(run["config"], notes))
    if geometric and unbounded:
        assert len(notes.left_out) == 1 and "charge" in notes.left_out[0]
        return
    scores = build_reward(config).score(run["smiles"])
    compared = np.array(run["valid"]) & np.array(run["first_occurrence"])
    for one in run["components"]:
        for values in one["transformed"]:
            numbers = np.array([np.nan if v is None else v for v in values], dtype=float)
            compared &= ~np.isnan(numbers)
            filters = one["component"] == "customalerts"
            if geometric and not filters and not (numbers > 0).all():
                stopped = np.array(run["total"]) == 0
                compared &= (numbers > 0) | stopped
    theirs = np.array(run["total"], dtype=float)
    own = np.asarray(scores.rewards)
    assert compared.sum() >= 3
    np.testing.assert_allclose(own[compared], theirs[compared], atol=1e-6)
    assert np.abs(own[compared] - theirs[compared][::-1]).max() > 0.01 or len(set(theirs)) < 4


def test_there_are_runs_to_compare():
    if DATA.is_dir():
        assert len(runs()) == 20


REFERENCE = DATA / "reinvent4_transforms.json"


def test_transforms_equal_those_of_reinvent4():
    """Also with low above high. Without an equal: those that are the same for all molecules, whose
    sides don't meet, or whose shape isn't here."""
    if not REFERENCE.is_file():
        pytest.skip(f"shared/data/{REFERENCE.name} is missing")
    compared, left = [], []
    for case in json.loads(REFERENCE.read_text())["cases"]:
        if any(isinstance(x, str) for x in case["inputs"]):
            continue  # of texts
        try:
            found = transform_of({"type": case["type"], **case["params"]})
        except NotThereError:
            left.append(case["type"])
            continue
        x = np.array(case["inputs"], dtype=np.float64)
        theirs = np.array(case["outputs"], dtype=np.float64)
        own = transforms.apply(found.pop("type"), x, **found)
        known = ~np.isnan(x)
        np.testing.assert_allclose(own[known], theirs[known], atol=1e-6, err_msg=str(case))
        compared.append(case["type"])
    assert len(compared) == 26
    assert sorted(left) == [
        "bell", "double_sigmoid", "multistep", "reverse_sigmoid", "sigmoid", "sigmoid_bell", "step",
    ]  # fmt: skip


def test_names_are_compared_as_there():
    assert plain("Custom-Alerts") == plain("custom_alerts") == "customalerts"
    for name in ("QED", "qed", "Q-e_d"):
        assert rows(section(name, {})) == [
            {"name": "qed"} if name == "qed" else {"name": "qed", "label": name}
        ]
    kind = {"type": "Reverse-Sigmoid", "low": 1, "high": 2, "k": 0.5}
    (row,) = rows(section("SlogP", {"transform": kind}))
    assert row["transform"]["type"] == "reverse_sigmoid"


def test_every_name_of_ours_is_a_component_and_on_the_page():
    found, page = components("molecules"), (ROOT / "docs" / "rewards.md").read_text()
    part = page.split("### From REINVENT4")[1].split("### From MolScore")[0].lower()
    for known in KNOWN.values():
        assert known.name in found and f"`{known.name}`" in part
    for theirs in [*PLAIN, "TPSA", "MatchingSubstructure", "MMP", "ExternalProcess", "REST"]:
        assert re.search(rf"`{theirs.lower()}`", part), theirs
    assert not set(KNOWN) & set(OTHERS)


def test_every_component_that_is_registered_there_is_known_or_has_a_reason():
    file = DATA / "reinvent4_components.json.gz"
    if not file.is_file():
        pytest.skip(f"shared/data/{file.name} is missing")
    names = json.loads(gzip.decompress(file.read_bytes()))["registered"]
    unknown = [n for n in names if plain(n) not in KNOWN and plain(n) not in OTHERS]
    assert unknown and all(n.startswith("Fragment") for n in unknown)
    notes = Notes()
    with pytest.raises(ConversionError, match="FragmentQed.*linkers"):
        reward_of(section("FragmentQed", {}), notes)


def test_parameters_of_the_component_and_of_its_endpoints():
    given = section(
        "TanimotoSimilarity",
        {"params": {"smiles": ["CCO", "CCC"], "radius": 3}, "name": "near", "weight": 0.5},
        {"params": {"smiles": ["CCN"], "use_features": True}},
        params={"radius": 2, "use_counts": False},
    )
    notes = Notes()
    first, second = reward_of(given, notes)["component"]
    assert first == {
        "name": "similarity", "label": "near", "smiles": "CCO", "radius": 3, "counts": False,
        "folded": False, "weight": 0.5,
    }  # fmt: skip
    assert (second["smiles"], second["radius"], second["fingerprint"]) == ("CCN", 2, "fcfp")
    assert "first of 2 molecules" in notes.changed[0]


def test_filters_and_penalties():
    given = {
        "component": [
            {"custom_alerts": {"endpoint": [{"weight": 0.4, "params": {"smarts": ["[SH]"]}}]}},
            {
                "MatchingSubstructure": {
                    "endpoint": [{"params": {"smarts": "c1ccccc1", "use_chirality": True}}]
                }
            },
        ]
    }
    notes = Notes()
    reward = reward_of(given, notes)
    alerts, match, ones = reward["component"]
    assert alerts["role"] == "filter" and "weight" not in alerts
    assert match["role"] == "penalty" and match["chirality"] is True
    assert ones == {"name": "validity"} and reward["aggregate"] == "geometric_mean"
    scores = build_reward(RewardConfig.model_validate(reward)).score(["CS", "CC", "c1ccccc1"])
    assert np.asarray(scores.rewards).tolist() == [0.0, 0.5, 1.0]
    assert any("had no effect" in text for text in notes.changed)


def test_matched_pairs_have_words_there():
    mapping = {"type": "value_mapping", "mapping": {"MMP": 0.6, "No MMP": 0}}
    params = {"reference_smiles": ["Cc1ccc(C(=O)NCc2ccccc2)cc1"]}
    (row,) = rows(section("MMP", {"params": params, "transform": mapping}))
    assert row["transform"] == {"type": "value_mapping", "mapping": {"1.0": 0.6, "0.0": 0.0}}
    scores = build_reward(RewardConfig.model_validate({"component": [row]})).score(
        ["CCc1ccc(C(=O)NCc2ccccc2)cc1", "CCO"]
    )
    assert np.asarray(scores.rewards).tolist() == [0.6, 0.0]


def test_a_program_of_theirs():
    params = {"executable": "dock.sh", "args": "-n 'two words'", "property": "affinity"}
    (row,) = rows(section("ExternalProcess", {"params": params}, kind="arithmetic_mean"))
    assert row["command"] == ["./dock.sh", "-n", "two words"]
    assert (row["protocol"], row["property"]) == ("batch", "affinity")


def test_filters_of_its_contributed_components():
    (row,) = rows(section("NIBRSubstructureFilters", {"params": {"cutoff": 10}}))[:1]
    assert (row["name"], row["role"]) == ("nibr", "filter")  # 10 is what excludes
    assert row["transform"] == {"type": "left_step", "low": 9.0}
    (row,) = rows(section("UnwantedSubstructures", {"params": {"catalogs": ["PAINS"]}}))[:1]
    assert (row["name"], row["role"], row["catalogues"]) == ("alerts", "filter", ["PAINS"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (section("SAScore", {"name": "easy"}), "easy, which is `sa`: its values go beyond 0..1"),
        (
            section("Qed", {"transform": {"type": "bell", "center": 1}}),
            "Qed, which is `qed`: its transform 'bell'",
        ),
        (section("Qed", {}, {"weight": 3}), "only its first endpoint counts"),
        (section("Qed", {"params": {"fast": True}}), "its parameter fast"),
        (section("Qed", {"colour": 1}), "Qed.endpoint.colour"),
        ({**section("Qed", {}), "mood": 1}, "scoring.mood"),
        (section("Qed", {}, kind="harmonic_mean"), "harmonic_mean.*geometric_mean is written"),
    ],
)
def test_nothing_is_left_out_silently(given: Any, words: str):
    notes = Notes()
    given["component"].append({"NumRings": {"endpoint": [{"transform": STEP}]}})
    reward_of(given, notes)
    assert len(notes.left_out) == 1 and re.search(words, notes.left_out[0]), notes
    assert reward_of(section("Qed", {}), notes := Notes()) and not notes.left_out  # control


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "no scoring component"),
        ({"component": [3]}, "must be a table"),
        (section("Qed"), "no endpoint"),
        (section("Qed", {"weight": -1}), "0 or more"),
        (section("Qed", {"weight": "much"}), "must be a number"),
        (section("Qed", {}, kind="best"), "'best' isn't known"),
        (section("SlogP", {"transform": {"type": "sigmoid", "low": 1}}), "has no high"),
        (section("Maize", {"name": "dock"}), "none of its components.*dock"),
    ],
)
def test_what_is_not_whole_is_one_sentence(given: Any, words: str):
    with pytest.raises(ConversionError, match=words) as caught:
        reward_of(given, Notes())
    assert "\n" not in str(caught.value)
