from __future__ import annotations

import pytest

from sequence_tutor.distributed.bulk.estimate import Estimate, duration


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_text_of_an_estimate():
    clock = Clock()
    estimate = Estimate(1_000_000, clock=clock)
    assert str(estimate) == "0 of 1,000,000 (0.0 %)"
    clock.now += 15
    estimate.add(12_345)
    assert estimate.rate == pytest.approx(823)
    assert str(estimate) == "12,345 of 1,000,000 (1.2 %), 823/s, 20 min left"


def test_the_rate_is_that_of_the_window():
    clock = Clock()
    estimate = Estimate(10_000, done=5000, window_s=10.0, clock=clock)
    for rows in [100] * 20 + [10] * 20:
        clock.now += 1
        estimate.add(rows)
    assert estimate.rate == pytest.approx(10)
    clock.now += 90  # without reports the rate falls
    assert estimate.rate == pytest.approx(1)


def test_reports_rarer_than_the_window_give_a_rate():
    clock = Clock()
    estimate = Estimate(100, window_s=60.0, clock=clock)
    for _ in range(8):
        clock.now += 600
        estimate.add(1)
    assert str(estimate) == "8 of 100 (8.0 %), 6.0/h, 15 h 20 min left"


def test_start_time_does_not_count_in_the_rate():
    clock = Clock()
    estimate = Estimate(1000, clock=clock)
    clock.now += 20  # seconds in which processes start
    estimate.add(1, took_s=0.5)
    assert estimate.rate == pytest.approx(2)
    clock.now += 1
    estimate.add(2, took_s=0.9)
    assert estimate.rate == pytest.approx(2)


def test_text_at_the_end_and_without_a_total():
    clock = Clock()
    estimate = Estimate(2000, done=1999, clock=clock)
    assert "(99.9 %)" in str(estimate)
    clock.now += 1
    estimate.add(1)
    assert str(estimate) == "2,000 of 2,000 (100.0 %), 1.0/s"
    open_end = Estimate(None, clock=clock)
    clock.now += 120
    open_end.add(60)
    assert str(open_end) == "60, 30/min" and open_end.left_s is None
    assert str(Estimate(0)) == "0 of 0"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3569, "59 min"),
        (3571, "1 h 0 min"),
        (86_399, "1 d 0 h"),
        (187_300, "2 d 4 h"),
    ],
)
def test_text_of_durations(seconds: float, text: str):
    assert duration(seconds) == text
