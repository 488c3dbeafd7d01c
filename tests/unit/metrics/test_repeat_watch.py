"""Warnings about a policy that repeats itself, and the average behind them."""

from __future__ import annotations

import math

import pytest

from sequence_tutor.distributed.metrics.moving_average import MovingAverage
from sequence_tutor.distributed.metrics.repeat_watch import FIXED, WINDOW, RepeatWatch
from sequence_tutor.distributed.types import PolicySamples


def warnings_of(*shares: float, windows: int = 4) -> list[str]:
    watch = RepeatWatch(FIXED)
    for share in shares:
        for _ in range(windows * WINDOW // 64):
            watch.add(PolicySamples(64, 64, round(64 * share)))
    return watch.take_warnings()


def test_many_repeated_sequences_warn_once():
    [text] = warnings_of(0.1, 0.8, 0.9, 0.8)
    assert "were known already" in text and "learner.temperature" in text and "seed" in text
    assert warnings_of(0.0, 0.3, 0.5) == []
    assert len(warnings_of(0.9, 0.45, 0.9)) == 1
    assert len(warnings_of(0.9, 0.1, 0.9)) == 2


def test_a_few_sequences_do_not_warn():
    watch = RepeatWatch(FIXED)
    watch.add(PolicySamples(WINDOW - 1, 0, WINDOW - 1))
    watch.add(PolicySamples())
    assert watch.take_warnings() == [] and not watch.many
    watch.add(PolicySamples(1, 1, 1))
    assert len(watch.take_warnings()) == 1 and watch.take_warnings() == []


def test_the_average_is_plain_at_first_and_then_forgets():
    average = MovingAverage(100)
    assert math.isnan(average.value) and not average.full
    for mean in (1.0, 2.0, 6.0):
        average.add(mean, 20)
    assert average.value == pytest.approx(3.0)
    average.add(math.nan, 20)
    average.add(5.0, 0)
    assert average.value == pytest.approx(3.0) and average.rows == 60
    for _ in range(40):
        average.add(10.0, 50)
    assert average.value == pytest.approx(10.0) and average.full
    average.add(-4.0, 1000)  # more than a window
    assert average.value == -4.0
    other = MovingAverage(100)
    other.restore(average.state())
    assert other.state() == average.state()
