"""How fast a run is, and how long it will take."""

from __future__ import annotations

import math

import pytest

from sequence_tutor.distributed.metrics.speed import Speed, TimeLeft
from sequence_tutor.distributed.metrics.tally import Metrics
from sequence_tutor.distributed.stage_config import StopConfig


def test_the_speed_is_that_of_the_window():
    speed = Speed()
    for second in range(20):  # the run starts
        speed.add(second, 0)
        assert math.isnan(speed.per_s)
    for second in range(20, 100):  # a batch of 64 every eight seconds: most ticks have none
        speed.add(second, 64 * ((second - 12) // 8))
        if second > 60:
            assert speed.per_s == pytest.approx(8, abs=2.2), second
    for second in range(100, 200):  # and then nothing
        speed.add(second, 640)
    assert speed.per_s == 0


def test_a_slow_reward_has_a_speed_between_its_scores():
    """A score a minute: most windows of 30 s have none."""
    speed = Speed()
    for second in range(1800):
        speed.add(second, second // 60)
        if second > 400:
            assert speed.per_s == pytest.approx(1 / 60, rel=0.3), second
    for second in range(1800, 2400):
        speed.add(second, 29)
    assert speed.per_s == 0


def test_the_speed_of_a_resumed_run_ignores_earlier_sequences():
    speed = Speed()
    speed.add(100.0, 5000)
    assert math.isnan(speed.per_s)
    speed.add(101.0, 5010)
    assert speed.per_s == 10


def after(passed_s: int, per_s: dict[str, float], **stop: float) -> float:
    """The time left after some seconds with counts that grow at these rates."""
    config = StopConfig(**{"scores": None, **stop})  # type: ignore[arg-type]
    left, m = TimeLeft(config, updates_before=1000), Metrics()
    for second in range(passed_s + 1):
        counts = {name: int(second * rate) for name, rate in per_s.items()}
        counts["updates"] = counts.get("updates", 0) + 1000
        m = Metrics(elapsed_s=float(second), **counts)  # type: ignore[arg-type]
        left.add(m)
    return left.seconds(m)


def test_the_nearest_limit_counts():
    rates = {"scores_used": 2.0, "updates": 1.0, "sequences": 4.0}
    assert after(100, rates, scores=1000) == pytest.approx(400, rel=0.05)
    assert after(100, rates, scores=1000, updates=300) == pytest.approx(200, rel=0.05)
    assert after(100, rates, scores=1000, updates=300, seconds=130) == 30
    assert after(100, rates, sequences=480) == pytest.approx(20, rel=0.05)
    assert after(100, rates, scores=100) == 0


def test_an_unknown_time_is_not_told():
    assert math.isnan(after(100, {}, scores=1000))
    assert math.isnan(after(1, {"scores_used": 2.0}, scores=1000))  # one growth tells nothing
    assert math.isnan(after(100, {"scores_used": 2.0}))
    assert after(1, {}, scores=1000, seconds=10) == 9


def test_a_run_that_learns_on_takes_as_long_as_its_updates():
    left = TimeLeft(StopConfig())
    for second in range(60):
        left.add(Metrics(elapsed_s=float(second), updates=5 * second, scores_used=10_000))
    m = Metrics(elapsed_s=59.0, updates=295, scores_used=10_000)
    assert left.seconds(m, updates_owed=50) == pytest.approx(10, rel=0.05)
