"""The examples of docs/programs.md score as the page says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from http_fixtures import Asked, Reply, Server

from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig

PAGE = (Path(__file__).parents[2] / "docs" / "programs.md").read_text()
SMILES = ["CCN", "CP", "C"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def components(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The components of the page, with its files in the working directory."""
    monkeypatch.chdir(tmp_path)
    for block in [*blocks("py"), *blocks("text")]:
        first, _, rest = block.partition("\n")
        (tmp_path / first.removeprefix("# ")).write_text(rest)
    return [tomllib.loads(block)["reward"]["component"][0] for block in blocks("toml")]


def scored(component: dict[str, Any]) -> Any:
    return build_reward(RewardConfig.model_validate({"component": [component]})).score(SMILES)


def test_the_function_and_the_programs(components: list[dict[str, Any]]) -> None:
    function, _, lines, batch, _ = components
    assert scored(function).rewards.tolist() == [5.0, 1.5, 1.5]
    scores = scored(lines)
    assert scores.raw["process"][[0, 2]].tolist() == [-1.5, -0.5]
    assert scores.errors[1] == "process: answered null: no parameters for phosphorus"
    assert scores.errors[1] in PAGE
    assert scored(batch).rewards.tolist() == [-1.5, -1.0, -0.5]


def test_the_function_that_pays_each_step(components: list[dict[str, Any]]) -> None:
    config = RewardConfig.model_validate({"aggregate": "sum", "component": [components[1]]})
    scores = build_reward(config, "melodies").score(["C5-C3-B5-C4-C4---", "C4-----"])
    assert scores.rewards.tolist() == [-4.0, 0.0] and scores.step_rewards is not None
    assert scores.step_rewards[0, :8].tolist() == [0, 0, -2, 0, 0, 0, -2, 0]


def test_the_server(
    components: list[dict[str, Any]], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(one: Asked) -> Reply:
        assert one.headers["authorization"] == "Bearer 1234"
        assert one.body["model"] == "solubility-2"
        return Reply({"results": [{"value": len(text)} for text in one.body["input"]["smiles"]]})

    *_, rest = components
    monkeypatch.setenv("MODEL_TOKEN", "1234")
    server.answer = answer
    assert scored(rest | {"url": server.url}).rewards.tolist() == [3, 2, 1]
    monkeypatch.delenv("MODEL_TOKEN")
    with pytest.raises(ValueError, match="MODEL_TOKEN, which isn't set"):
        scored(rest)


def test_control_there_are_five_examples(components: list[dict[str, Any]]) -> None:
    assert [one["name"] for one in components] == ["python", "python", "process", "process", "rest"]
