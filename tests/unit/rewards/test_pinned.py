"""The content of a model's file belongs to the reward."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_files import linear_onnx

from sequence_tutor.rewards.bounds import UNKNOWN, reward_range, worth_of_invalid
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.pinned import pinned

BITS: dict[str, Any] = {"type": "morgan", "bits": 64}
MODEL: dict[str, Any] = {"name": "model", "file": "m.onnx", "features": BITS, "weight": 0.5}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("m.onnx").write_bytes(linear_onnx(np.ones(64)))
    return tmp_path


def config_of(*parts: dict[str, Any], **more: Any) -> RewardConfig:
    return RewardConfig.model_validate({"component": list(parts), **more})


def test_a_model_is_pinned(place: Path) -> None:
    plain = config_of({"name": "qed"}, MODEL | {"role": "score", "label": "mine"})
    config = pinned(plain, "molecules")
    digest = hashlib.sha256(Path("m.onnx").read_bytes()).hexdigest()
    assert config.component[1].options["sha256"] == digest
    assert config.component[1].label == "mine" and config.component[1].weight == 0.5
    assert config.component[0] == plain.component[0] and "sha256" not in plain.component[1].options
    assert pinned(config, "molecules") == config
    before = build_reward(config).score(["CCO"]).rewards[0]
    Path("m.onnx").write_bytes(linear_onnx(np.full(64, 2.0)))
    with pytest.raises(ValueError, match="'m.onnx' isn't the file of this run") as error:
        build_reward(config)
    assert digest in str(error.value) and "\n" not in str(error.value)
    other = pinned(plain, "molecules")
    assert other.identity() != config.identity()
    assert build_reward(other).score(["CCO"]).rewards[0] > before
    Path("m.onnx").write_bytes(linear_onnx(np.ones(64)))  # the old one is back
    assert pinned(plain, "molecules").identity() == config.identity()
    assert build_reward(config).score(["CCO"]).rewards[0] == before


def test_several_models_are_pinned(place: Path) -> None:
    Path("n.onnx").write_bytes(linear_onnx(np.zeros(64)))
    files = ["m.onnx", "n.onnx"]
    config = pinned(config_of(MODEL | {"file": files}), "molecules")
    expected = [hashlib.sha256(Path(f).read_bytes()).hexdigest() for f in files]
    assert config.component[0].options["sha256"] == expected
    Path("n.onnx").write_bytes(linear_onnx(np.ones(64)))
    with pytest.raises(ValueError, match="'n.onnx' isn't the file"):
        build_reward(config)


@pytest.mark.parametrize("name", ["listed", "unseen_fragments"])
def test_a_list_of_molecules_is_pinned(name: str, place: Path) -> None:
    Path("known.smi").write_text("CCO")
    config = pinned(config_of({"name": name, "file": "known.smi"}), "molecules")
    digest = hashlib.sha256(b"CCO").hexdigest()
    assert config.component[0].options == {"file": "known.smi", "sha256": digest}
    before = build_reward(config).score(["CCN"]).rewards[0]
    Path("known.smi").write_text("CCN")
    with pytest.raises(ValueError, match="'known.smi' isn't the file of this run"):
        build_reward(config)
    other = pinned(config_of({"name": name, "file": "known.smi"}), "molecules")
    assert build_reward(other).score(["CCN"]).rewards[0] != before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"file": "none.onnx"}, "component 'model': file = 'none.onnx' can't be read: No such"),
        ({"file": "."}, "must end in .onnx or .skops"),
        ({"file": "m.pkl"}, "is a pickle"),
        ({"file": 3}, "option 'file' of component 'model'"),
        ({"files": "m.onnx"}, "did you mean 'file'"),
    ],
)
def test_what_cannot_be_pinned_is_one_sentence(
    options: dict[str, Any], words: str, place: Path
) -> None:
    with pytest.raises(ValueError, match=words) as error:
        pinned(config_of(MODEL | options), "molecules")
    assert "\n" not in str(error.value)


def test_rewards_without_a_model_keep_their_identity(place: Path) -> None:
    """These are from before there were pins."""
    Path("known.smi").write_text("CCO")
    for parts, identity in (
        ([{"name": "qed"}], "4b13fa7f468eb274"),
        (
            [{"name": "novelty", "file": "known.smi"}, {"name": "sa", "weight": 0.5}],
            "292d66cd0db4babf",
        ),
    ):
        config = config_of(*parts)
        assert config.identity() == pinned(config, "molecules").identity() == identity


def test_the_range_of_a_model(place: Path) -> None:
    assert reward_range(config_of(MODEL), "molecules") == UNKNOWN
    probability = MODEL | {"kind": "probability"}
    assert reward_range(config_of(probability), "molecules") == (0.0, 1.0)
    assert worth_of_invalid(config_of(probability), "molecules").value == 0.0
    assert reward_range(config_of(probability | {"value": "std"}), "molecules")[0] == 0.0
    mean = {"aggregate": "geometric_mean"}
    Path("m.onnx").write_bytes(linear_onnx(np.full(64, 1 / 64)))
    scores = build_reward(config_of(probability, **mean)).score(["CCO"])
    assert 0 < scores.rewards[0] < 1
    with pytest.raises(ValueError, match="geometric_mean needs every component in 0..1"):
        build_reward(config_of(MODEL, **mean))
    # a model that breaks its promise fails that molecule and no other
    Path("m.onnx").write_bytes(linear_onnx(np.full(64, 0.1)))
    scores = build_reward(config_of(probability)).score(["C", "c1ccc2ccccc2c1CCOC(F)Cl"])
    assert scores.status.tolist() == [0, 4] and "which is no probability" in scores.errors[1]
