"""Files that components keep: whose they are, what is refused, and what they cost."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from sequence_tutor.rewards.attachments import COLLECTOR, Attachment, keep, stored_path
from sequence_tutor.rewards.base import Scores
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.in_process import LocalReward
from sequence_tutor.rewards.isolation.work import Job, Shape, pack


def noted(smiles: str) -> float:
    """Keeps the SMILES where it has an oxygen; fails with a sulphur after that."""
    if "O" in smiles:
        keep("notes", ".txt", smiles.encode())
    if "S" in smiles:
        raise RuntimeError("sulphur")
    return float(len(smiles))


def twice(smiles: str) -> float:
    keep("notes", ".txt", b"first")
    keep("notes", ".csv", b"second")
    return 1.0


def config(*functions: Any, **options: Any) -> RewardConfig:
    parts = [{"name": "python", "function": f, **options} for f in functions]
    return RewardConfig.model_validate({"component": parts})


def kept(scores: Scores) -> list[list[tuple[str, bytes]]]:
    assert scores.files is not None
    return [[(file.component, file.content) for file in files] for files in scores.files]


def test_a_file_belongs_to_its_sequence() -> None:
    reward = build_reward(config(noted))
    scores = reward.score(["CCO", "CC", "C(", "OSC", "CO"])
    assert kept(scores) == [
        [("python", b"CCO")],
        [],
        [],
        [("python", b"OSC")],  # of a sequence that failed later
        [("python", b"CO")],
    ]
    assert kept(scores.select([4, 1])) == [[("python", b"CO")], []]
    assert reward.score(["CC"]).files is None


def test_files_of_several_components_and_behind_a_filter() -> None:
    chosen = [
        {"name": "python", "function": noted, "label": "dear/one"},
        {"name": "python", "function": twice},
        {"name": "substructure", "smarts": "N", "role": "filter"},
    ]
    reward = build_reward(RewardConfig.model_validate({"component": chosen}))
    scores = reward.score(["CCO", "NCO", "NC"])
    two = [("python", b"first"), ("python", b"second")]
    assert kept(scores) == [[], [("dear/one", b"NCO"), *two], two]


def test_both_ways_to_score_hand_on_the_same_files() -> None:
    smiles = ["CCO", "CC", "CO"]
    with LocalReward(config(noted), "molecules") as local:
        scores = local.score(smiles)
    whole = build_reward(config(noted)).score(smiles)
    assert whole.files is not None and scores.files == whole.files


def test_a_later_attempt_replaces_the_files_of_an_earlier_one() -> None:
    objective = build_reward(config(noted))
    job = Job(["CO", "OSC"], None, Shape.of(objective), 1.0, retries=1)
    first = objective.score(["CO", "OSC"])
    job.enter([0, 1], pickle.loads(pickle.dumps(pack(0, 0.0, first))))
    job.enter([1], pack(1, 0.0, objective.score(["CC"])))
    scores = job.scores(config(noted))
    assert kept(scores) == [[("python", b"CO")], []]
    short = pack(2, 0.0, objective.score(["CO"]))._replace(files=[])
    with pytest.raises(ValueError):
        job.enter([0], short)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("scores", ".txt", b""), "folder = 'scores' must be"),
        (("../x", ".txt", b""), "folder = '../x' must be"),
        (("notes", "txt", b""), "suffix = 'txt' must be"),
        (("notes", "./a", b""), "suffix = './a' must be"),
        (("notes", ".txt", "text"), "content must be bytes, got str"),
    ],
)
def test_what_cannot_be_kept(arguments: tuple[Any, ...], words: str) -> None:
    def function(smiles: str) -> float:
        keep(*arguments)
        return 1.0

    scores = build_reward(config(function)).score(["CO"])
    assert words in scores.errors[0] and scores.files is None


def test_a_function_of_several_sequences_cannot_keep_files() -> None:
    def several(smiles: list[str]) -> list[float]:
        keep("notes", ".txt", b"whose?")
        return [1.0] * len(smiles)

    scores = build_reward(config(several, batched=True)).score(["CO", "CC"])
    assert "can't keep files" in scores.errors[0] and scores.files is None
    assert np.isnan(scores.rewards).all()


def test_nothing_is_collected_outside_of_a_reward() -> None:
    keep("notes", ".txt", b"dropped")
    assert noted("CO") == 2.0 and COLLECTOR.kept == []
    build_reward(config(noted)).score(["CO"])
    assert noted("CO") == 2.0 and COLLECTOR.kept == []


def test_names() -> None:
    file = Attachment("a/b 1", "poses", ".sdf", b"")
    name = file.path("CCO")
    assert name == stored_path("CCO", "poses", ".sdf", "a/b 1")
    assert name.startswith("poses/a%2Fb%201-") and name.endswith(".sdf")
    assert name.count("/") == 1 and file.path("CCN") != name
