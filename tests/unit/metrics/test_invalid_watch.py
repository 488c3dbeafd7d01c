"""Warnings about invalid sequences, without a run."""

from __future__ import annotations

import math
from dataclasses import MISSING, fields, replace
from typing import Any

import pytest

from sequence_tutor.distributed.config import StopConfig
from sequence_tutor.distributed.metrics.invalid_watch import WINDOW, InvalidWatch
from sequence_tutor.distributed.metrics.tally import Tally
from sequence_tutor.distributed.replay.messages import ShardStats
from sequence_tutor.distributed.types import ScoreReport
from sequence_tutor.rewards.bounds import InvalidWorth, worth_of_invalid
from sequence_tutor.rewards.config import RewardConfig

LATE = InvalidWorth(math.nan, "the worst", late=True)
STATS = ShardStats(**{f.name: 0 for f in fields(ShardStats) if f.default is MISSING})  # type: ignore[arg-type]


def worth(name: str, transform: dict[str, Any] | None = None, **section: Any) -> InvalidWorth:
    part = {"name": name} | ({"transform": transform} if transform else {})
    config = RewardConfig.model_validate({"component": [part], **section})
    return worth_of_invalid(config, "molecules")


@pytest.mark.parametrize(
    ("args", "value", "words"),
    [
        (("sa", {"type": "negate"}), -10.0, "-10 (the least"),
        (("qed",), 0.0, "0 (the least"),
        (("logp",), math.nan, "the worst reward of a valid one so far"),
        (("molecular_weight", {"type": "scale", "factor": -1.0}), math.nan, "the worst reward"),
        (("sequence_tutor",), math.nan, "what sequence_tutor says"),
    ],
)
def test_default_worth_of_an_invalid_sequence(args: Any, value: float, words: str) -> None:
    found = worth(*args)
    assert found.value == value or (math.isnan(found.value) and math.isnan(value))
    said = InvalidWatch(found).said
    assert said.startswith("an invalid sequence is worth ") and words in said
    assert not found.warning


@pytest.mark.parametrize(
    ("args", "invalid", "words"),
    [
        (("sa", {"type": "negate"}), 0.0, "as little as -10"),
        (("qed",), 0.1, "as little as 0"),
        (("molecular_weight", {"type": "negate"}), 0.0, "more than 0"),
        (("qed",), 0.0, ""),
        (("sa", {"type": "negate"}), -10.0, ""),
        (("logp",), 5.0, ""),  # the range of logP is unknown; a warning may come during the run
    ],
)
def test_a_too_high_worth_warns_once_and_is_kept(args: Any, invalid: float, words: str) -> None:
    found = worth(*args, invalid=invalid)
    assert found.value == invalid
    watch = InvalidWatch(found)
    warnings = watch.take_warnings()
    assert len(warnings) == bool(words) and all(words in text for text in warnings)
    if words:  # no second warning when it happens
        watch.look(replace(STATS, worst=-9.0, best_invalid=invalid))
    assert watch.take_warnings() == []


def test_an_invalid_sequence_worth_more_than_a_valid_one_warns() -> None:
    watch = InvalidWatch(worth("logp", invalid=0.0))
    watch.look(replace(STATS, worst=0.0, best_invalid=0.0))
    watch.look(replace(STATS, worst=1.0))
    assert watch.take_warnings() == []
    for _ in range(2):
        watch.look(replace(STATS, worst=-2.5, best_invalid=0.0))
    [text] = watch.take_warnings()
    assert "worth 0" in text and "-2.5" in text and "reward.invalid" in text


def test_the_worth_follows_the_worst_reward() -> None:
    watch = InvalidWatch(LATE)
    assert watch.value == 0.0
    watch.look(replace(STATS, worst=-3.0))
    assert watch.value == -3.0
    known = InvalidWatch(worth("sa", {"type": "negate"}))
    known.look(replace(STATS, worst=-3.0))
    assert known.value == -10.0


def warnings_of(*shares: float, rows: int = 64, times: int = WINDOW // 64) -> list[str]:
    """Warnings of batches with these valid shares, each share for a whole window."""
    watch = InvalidWatch(LATE)
    for share in shares:
        for _ in range(times):
            watch.add(round(share * rows), rows)
    return watch.take_warnings()


def test_each_halving_of_the_valid_share_warns_once() -> None:
    assert warnings_of(1.0, 0.9, 0.8, 0.7, 0.6) == []
    [text] = warnings_of(1.0, 0.9, 0.5, 0.5, 0.45)
    assert "50%" in text and "reward.invalid" in text and "learner.temperature" in text
    assert len(warnings_of(1.0, 0.5, 0.4, 0.3, 0.25)) == 2
    assert len(warnings_of(1.0, 0.0, 0.0)) >= 1
    assert warnings_of(1.0, 0.0, 0.0)[-1].startswith("only 0% of")
    assert warnings_of(0.0, 0.0, 0.0) == []


def test_fewer_sequences_than_a_window_do_not_warn() -> None:
    watch = InvalidWatch(LATE)
    for _ in range(8):
        watch.add(64, 64)
    watch.add(0, 64)  # one bad batch among many
    assert watch.take_warnings() == []
    watch = InvalidWatch(LATE)
    watch.add(10, 10)
    watch.add(0, WINDOW - 11)  # the first window isn't full yet
    assert watch.take_warnings() == []


def test_the_mean_reward_counts_invalid_ones_at_their_worth() -> None:
    tally = Tally()
    tally.add_scored(ScoreReport(4, 2, 0, 0, 2, -3.0, 0.1, unpriced=2))
    tick = tally.tick(invalid_reward=-2.0)
    assert (tick.reward_mean, tick.invalid_reward) == (-1.75, -2.0)
    tally.add_scored(ScoreReport(4, 2, 0, 0, 4, -3.0, 0.1))
    assert tally.tick().reward_mean == -0.75  # a NaN worth doesn't matter without unpriced rows


@pytest.mark.parametrize(
    ("stop", "most"),
    [
        ({}, 1_000_000),
        ({"scores": 64}, 10_000),
        ({"scores": 500}, 50_000),
        ({"scores": 500, "sequences": 7}, 7),
        ({"scores": None, "seconds": 1}, None),
        ({"scores": None, "sequences": 9}, 9),
    ],
)
def test_limit_of_generated_sequences(stop: dict[str, Any], most: int | None) -> None:
    assert StopConfig(**stop).most_sequences == most


def test_a_reached_limit_of_stop_is_named() -> None:
    stop = StopConfig(scores=10, updates=20, seconds=30.0, sequences=40)
    assert stop.reached(9, 19, 29.0, 39) == ""
    assert stop.reached(10, 19, 29.0, 39) == "stop.scores"
    assert stop.reached(9, 20, 29.0, 39) == "stop.updates"
    assert stop.reached(9, 19, 30.0, 39) == "stop.seconds"
    assert stop.reached(9, 19, 29.0, 40) == "stop.sequences"
    assert StopConfig(scores=None, updates=1).reached(10**9, 0, 1e9, 10**9) == ""
