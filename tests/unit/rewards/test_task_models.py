"""Classifiers from pickle files: their probabilities are scikit-learn's, and hostile files can do
nothing.

The files in `classifiers/` were made with scikit-learn 1.9.1, an SVC (16 features) and a
RandomForestClassifier (2,048 features) on random data; the JSON files beside them have features and
what `predict_proba` gives for class 1.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.molecules.tasks import TASKS
from sequence_tutor.rewards.molecules.tasks.activity import FOLDER
from sequence_tutor.rewards.molecules.tasks.model_file import read_classifier

MODELS = Path(__file__).parent / "classifiers"
FEATURES = {"svc": 16, "rf": 2048}
ASPIRIN, CAFFEINE = "CC(=O)Oc1ccccc1C(=O)O", "Cn1c(=O)c2c(ncn2C)n(C)c1=O"


@pytest.mark.parametrize("name", ["svc", "rf"])
def test_probabilities_are_those_of_scikit_learn(name: str) -> None:
    classifier = read_classifier(MODELS / f"{name}.pkl", FEATURES[name])
    cases = json.loads((MODELS / f"{name}.json").read_text())
    for features, expected in zip(cases["features"], cases["probability"], strict=True):
        x = np.zeros(FEATURES[name])
        if name == "svc":
            x[:] = features
        else:
            x[features] = 1.0
        assert classifier.probability(x) == pytest.approx(expected, abs=1e-9)
    assert len({round(p, 3) for p in cases["probability"]}) > 1  # control


class Command:
    """Unpickled as usual, it runs a command."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> Any:
        return os.system, (self.text,)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_pickle_is_refused_and_nothing_runs(tmp_path: Path, protocol: int) -> None:
    mark, path = tmp_path / "mark", tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(Command(f"touch {mark}"), protocol))
    with pytest.raises(ValueError, match=r"refused: it asks for (posix|os)\.system"):
        read_classifier(path, 16)
    assert not mark.exists()
    pickle.loads(path.read_bytes())  # control: it would have run
    assert mark.exists()


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (b"cbuiltins\neval\n(V1+1\ntR.", "builtins.eval"),
        (b"cnumpy\nload\n(Vx\ntR.", "numpy.load"),
        (b"csklearn.svm._classes\nSVC.__init__.__globals__\n.", "SVC.__init__"),
        (pickle.dumps(np.array(["x"], dtype=object)), "elements of type 'O8'"),
        (pickle.dumps(np.array(["x"])), "elements of type 'U1'"),
    ],
)
def test_names_and_elements_that_no_classifier_needs_are_refused(
    tmp_path: Path, text: bytes, asked: str
) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(text)
    with pytest.raises(ValueError, match="is refused: it asks for") as error:
        read_classifier(path, 16)
    assert asked in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["sklearn.svm._classes\nSVC", "numpy.core.multiarray\n_reconstruct"]
)
def test_a_file_cannot_change_how_the_next_one_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.pkl"
    # sets the attribute __defaults__ of what stands for the name
    path.write_bytes(b"\x80\x02c" + name.encode() + b"\n(N(V__defaults__\n(I1\ntdtb.")
    with pytest.raises(ValueError, match="can't be read"):
        read_classifier(path, 16)
    read_classifier(MODELS / "svc.pkl", 16)


def test_a_wrong_or_damaged_file_gives_one_sentence(tmp_path: Path) -> None:
    path, whole = tmp_path / "model.pkl", (MODELS / "rf.pkl").read_bytes()
    for text in (b"", b"no pickle", whole[:-100], whole.replace(b"nodes", b"edges")):
        path.write_bytes(text)
        with pytest.raises(ValueError, match=f"the model {path} can't be read: ") as error:
            read_classifier(path, 2048)
        assert "\n" not in str(error.value)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ValueError, match="neither an SVC nor a RandomForestClassifier"):
        read_classifier(path, 2048)
    with pytest.raises(ValueError, match="takes 2048 features, and there are 16"):
        read_classifier(MODELS / "rf.pkl", 16)
    with pytest.raises(ValueError, match="no model can be read from .*absent.pkl: No such file"):
        read_classifier(tmp_path / "absent.pkl", 16)


def reward(**part: Any) -> Any:
    return build_reward(RewardConfig.model_validate({"component": [part]}))


def test_a_component_takes_the_path_of_its_model(tmp_path: Path) -> None:
    scores = reward(name="gsk3b", model=str(MODELS / "rf.pkl")).score([ASPIRIN, CAFFEINE, "C1"])
    assert all(0 <= r <= 1 for r in scores.rewards) and scores.rewards[2] == 0
    with pytest.raises(ValueError, match="'jnk3' needs the option 'model'"):
        reward(name="jnk3")
    with pytest.raises(ValueError, match="component 'drd2': no model can be read from"):
        reward(name="drd2", model=str(tmp_path / "absent.pkl"))


def test_tasks_take_the_folder_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    with pytest.raises(
        ValueError, match=f"the task jnk3 needs a model: set {FOLDER} to the folder"
    ):
        TASKS["jnk3"](ASPIRIN)
    shutil.copy(MODELS / "rf.pkl", tmp_path / "jnk3_current.pkl")
    monkeypatch.setenv(FOLDER, str(tmp_path))
    direct = reward(name="jnk3", model=str(MODELS / "rf.pkl")).score([ASPIRIN])
    assert TASKS["jnk3"](ASPIRIN) == direct.rewards[0]
