"""Fixtures of the tests of isolated rewards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.isolation.reward import IsolatedReward


class Make(Protocol):
    def __call__(self, function: str, batched: bool = ..., **section: Any) -> IsolatedReward: ...


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file to which the functions of `bad_rewards` write their calls."""
    path = tmp_path / "notes"
    path.touch()
    monkeypatch.setenv("BAD_REWARDS_NOTES", str(path))
    return path


@pytest.fixture
def make(plugins: Path, notes: Path) -> Iterator[Make]:
    """Builds an isolated reward from one function of `bad_rewards`."""
    made: list[IsolatedReward] = []

    def build(function: str, batched: bool = False, **section: Any) -> IsolatedReward:
        part = {"name": "python", "function": f"bad_rewards:{function}", "batched": batched}
        config = RewardConfig.model_validate({"component": [part], **section})
        made.append(IsolatedReward(config, "molecules", [str(plugins)]))
        return made[-1]

    yield build
    for one in made:
        one.close()
