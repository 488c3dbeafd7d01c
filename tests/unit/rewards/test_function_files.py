"""The component `python`: functions of files, their options and their state."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sequence_tutor.rewards import score_one
from sequence_tutor.rewards.base import Scores
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.on_record import values_on_record
from sequence_tutor.rewards.place import Place

SCORES = """
from dataclasses import dataclass
import beside_scores

@dataclass
class Model:
    factor: float

loads = []

def carbons(smiles):
    return smiles.upper().count("C")

def scaled(smiles, factor, offset=0.0):
    return factor * carbons(smiles) + offset

def many(smiles, *, factor=1):
    return [factor * carbons(one) for one in smiles]

def anything(smiles, **options):
    return sum(options.values())

def load(factor: float):
    loads.append(factor)
    return Model(factor * beside_scores.ONE)

def load_wrong():
    raise FileNotFoundError("no model.onnx")

def modelled(smiles, state, offset=0):
    return state.factor * carbons(smiles) + offset + 1000 * (len(loads) - 1)

def nothing():
    return 0

number = 3
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Files of the user's, in a directory that isn't the working directory."""
    folder = tmp_path / "rewards.of.mine"
    folder.mkdir()
    (folder / "scores.py").write_text(SCORES)
    (folder / "beside_scores.py").write_text("ONE = 1\n")
    (folder / "broken.py").write_text("def f(smiles):\n    return 1 +\n")
    (folder / "raises.py").write_text("raise RuntimeError('no licence')\n")
    (folder / "exits.py").write_text("import sys\nsys.exit(3)\n")
    return Place((str(tmp_path),))


def config(function: object = "rewards.of.mine/scores.py:carbons", **options: Any) -> RewardConfig:
    part = {"name": "python", "function": function, **options}
    return RewardConfig.model_validate({"component": [part]})


def scored(place: Place, name: str, sequences: list[str], **options: Any) -> Scores:
    reward = build_reward(config(f"rewards.of.mine/scores.py:{name}", **options), place=place)
    return reward.score(sequences)


def test_a_function_of_a_file_with_options(place: Place) -> None:
    assert scored(place, "carbons", ["CCO"]).rewards[0] == 2
    options = {"factor": 3, "offset": 0.5}
    assert scored(place, "scaled", ["CCO"], options=options).rewards[0] == 6.5
    many = scored(place, "many", ["CCO", "C"], options={"factor": 2}, batched=True)
    assert many.rewards.tolist() == [4, 2]
    assert scored(place, "anything", ["C"], options={"a": 1, "b": 2}).rewards[0] == 3


def test_an_absolute_path_and_melodies(place: Place) -> None:
    from sequence_tutor.rewards.domains import domain_named

    function = f"{place.directories[0]}/rewards.of.mine/scores.py:carbons"
    example = domain_named("melodies").example
    reward = build_reward(config(function), "melodies")
    assert reward.score([example]).rewards[0] == example.upper().count("C")


def test_a_changed_file_is_read_again(place: Place) -> None:
    assert scored(place, "carbons", ["CCO"]).rewards[0] == 2
    path = Path(place.directories[0], "rewards.of.mine", "scores.py")
    path.write_text("def carbons(smiles):\n    return -1.0\n")
    assert scored(place, "carbons", ["CCO"]).rewards[0] == -1


def test_the_state_is_made_once_and_at_the_first_call(place: Place) -> None:
    options = {"factor": 2.0, "offset": 1}
    reward = build_reward(
        config(
            "rewards.of.mine/scores.py:modelled",
            initialise="rewards.of.mine/scores.py:load",
            options=options,
        ),
        place=place,
    )
    (module,) = [m for name, m in sys.modules.items() if name.startswith("scores_")][-1:]
    assert module.loads == []
    # a second load would add 1000
    assert reward.score(["CCO", "C"]).rewards.tolist() == [5, 3]
    assert reward.score(["CCC"]).rewards.tolist() == [7] and module.loads == [2.0]


def test_a_failing_initialiser_fails_the_sequence(place: Place) -> None:
    initialise = "rewards.of.mine/scores.py:load_wrong"
    (error,) = scored(place, "modelled", ["C"], initialise=initialise).errors
    assert error.endswith("load_wrong': FileNotFoundError: no model.onnx") and "initialise" in error


def test_functions_given_from_python_take_options_and_a_state() -> None:
    def judge(smiles: str, state: dict[str, float], power: int) -> float:
        return state["base"] ** power

    given = config(judge, initialise=lambda: {"base": 3.0}, options={"power": 2})
    assert build_reward(given).score(["C"]).rewards[0] == 9
    written = given.model_dump(mode="json")["component"][0]
    assert written["function"].startswith("<function ") and json.dumps(written)
    assert written["initialise"].startswith("<function ") and written["options"] == {"power": 2}
    assert score_one("python", "CCO", function=len) == 3


@pytest.mark.parametrize(
    ("function", "options", "words"),
    [
        ("none.py:f", {}, "there is no file 'none.py' in "),
        ("rewards.of.mine:f", {}, "can't import module 'rewards.of.mine'"),
        ("scores.py", {}, 'must read "module:function" or "path/to/file.py:function"'),
        ("scores.py:f", {}, "there is no file 'scores.py' in "),
        ("rewards.of.mine/scores.py:f", {}, "has no function 'f'"),
        ("rewards.of.mine/scores.py:number", {}, "has no function 'number'"),
        ("rewards.of.mine/broken.py:f", {}, "SyntaxError: invalid syntax (broken.py, line 2)"),
        ("rewards.of.mine/raises.py:f", {}, "RuntimeError: no licence"),
        ("rewards.of.mine/exits.py:f", {}, "SystemExit: 3"),
        ("rewards.of.mine/scores.py:nothing", {}, "has no positional parameter for the sequence"),
        ("rewards.of.mine/scores.py:scaled", {}, "needs the option 'factor': options = { factor"),
        (
            "rewards.of.mine/scores.py:scaled",
            {"options": {"factor": 1, "ofset": 2}},
            "unknown option of python function 'rewards.of.mine/scores.py:scaled': 'ofset', "
            "allowed: factor, offset; did you mean 'offset'?",
        ),
        ("rewards.of.mine/scores.py:modelled", {}, "needs initialise, which makes it"),
        (
            "rewards.of.mine/scores.py:carbons",
            {"initialise": "rewards.of.mine/scores.py:load"},
            "has no parameter 'state'",
        ),
        (
            "rewards.of.mine/scores.py:modelled",
            {"initialise": "rewards.of.mine/scores.py:load"},
            "load' needs the option 'factor'",
        ),
        (
            "rewards.of.mine/scores.py:modelled",
            {"initialise": "rewards.of.mine/scores.py:lod"},
            "has no function 'lod'",
        ),
        (
            "rewards.of.mine/scores.py:modelled",
            {"initialise": "rewards.of.mine/scores.py:load", "options": {"state": 1}},
            "can't have 'state'",
        ),
        (3, {}, "should be a valid string"),
        ("rewards.of.mine/scores.py:carbons", {"options": 3}, "should be a valid dictionary"),
    ],
)
def test_mistakes_are_one_sentence(
    function: object, options: dict[str, Any], words: str, place: Place
) -> None:
    with pytest.raises(ValueError) as caught:
        build_reward(config(function, **options), place=place)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_identities_are_those_of_before() -> None:
    """As they were before functions had options; the content of a file doesn't count, as that of a
    module never did."""
    old = [
        {"name": "python", "function": "my_rewards:carbons", "weight": 0.5},
        {"name": "python", "function": "m:f", "batched": True, "role": "filter"},
        {"name": "qed"},
    ]
    assert RewardConfig.model_validate({"component": old}).identity() == "f27226042407ad4b"
    rest = {"name": "rest", "url": "http://x/", "headers": {"A": "${B}"}}
    limits = {"rate": 3.0, "retries": 9, "batch": 16, "timeout_s": 5.0}
    plain, limited, other = (
        RewardConfig.model_validate({"component": [rest | more]})
        for more in ({}, limits, {"read": "values"})
    )
    assert plain.identity() == limited.identity() != other.identity()
    # nor do limits make raw values on record useless
    assert values_on_record(limited, plain, "molecules") == {"rest": "rest"}
    assert values_on_record(other, plain, "molecules") == {}
