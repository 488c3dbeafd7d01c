"""Identities are computed in processes that may crash or hang, with a reader that does both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.isolation.identify import identifier, identify_all
from sequence_tutor.rewards.isolation.reward import IsolatedReward

HANGS, CRASHES, HOARDS = "CCCCCCF", "CCCCCCCl", "CCCCCCBr"
GOOD = ["C" * n for n in range(1, 20)]


@pytest.fixture
def reward(plugins: Path, notes: Path) -> Iterator[IsolatedReward]:
    part = {"name": "python", "function": "reads_badly:value"}
    config = RewardConfig.model_validate({"component": [part], "timeout_s": 1.5, "memory_mb": 500})
    with IsolatedReward(config, "molecules", [str(plugins)]) as made:
        yield made


def test_sequences_that_crash_or_hang_identify_are_invalid(
    reward: IsolatedReward, notes: Path
) -> None:
    texts = [*GOOD[:9], HANGS, CRASHES, *GOOD[9:], HOARDS, "C("]
    found = dict(zip(texts, reward.identify(texts), strict=True))
    assert [found[s].key for s in GOOD] == GOOD
    assert [found[s].lost for s in GOOD] == [None] * len(GOOD)
    assert all(found[s].key is None for s in (HANGS, CRASHES, HOARDS))
    assert all(found[s].lost == Status.INVALID for s in (HANGS, CRASHES, HOARDS))
    assert found[HANGS].reason == "its canonical form took longer than 1.5 s"
    assert "segmentation fault" in found[CRASHES].reason
    assert found[HOARDS].reason == "reading it: needed more than memory_mb = 500"
    assert found["C("].lost is None and found["C("].reason == "SMILES syntax error at character 2"
    assert notes.read_text() == "", "finding keys mustn't call the reward"
    scores = reward.score(GOOD)
    assert scores.status.tolist() == [Status.OK] * len(GOOD)
    assert notes.read_text().split() == GOOD


def test_only_isolated_domains_identify_in_processes(reward: IsolatedReward) -> None:
    molecules, melodies = domain_of("smiles"), domain_of("melody")
    assert identifier(molecules, reward) == reward.identify
    assert identifier(melodies, reward) != reward.identify
    assert [i.key for i in identifier(melodies, reward)(["C4-D4-", "C4x"])] == ["C4-D4-", None]
    assert [i.key for i in identify_all(molecules, ["OCC", "C1"])] == ["CCO", None]
    assert [i.reason for i in identify_all(melodies, ["C4x---", "C4"])] == [
        "not a melody at character 3",
        "1 steps, not 4 to 65,535",
    ]
