"""When to hand out, to listen and to suspect, without any process."""

from __future__ import annotations

import pytest

from sequence_tutor.rewards.isolation.pace import AHEAD, NAP_S, STUCK_S, Pace


def test_at_first_little_is_handed_out_and_all_is_heard() -> None:
    pace = Pace()
    assert (pace.ahead(1), pace.nap_s(2, 1), pace.patience_s(1)) == (2, 0, STUCK_S)


def test_the_mean_counts_sequences() -> None:
    pace = Pace()
    pace.note(3, 3.0)
    pace.note(1, 5.0)
    assert pace.mean_s == pytest.approx(2.0)
    assert pace.patience_s(1) == pytest.approx(16.0)
    assert pace.patience_s(10) == pytest.approx(160.0)


def test_a_few_slow_ones_leave_the_quick_ones_work() -> None:
    pace = Pace()
    for i in range(1000):
        pace.note(1, 10.0 if i % 50 == 0 else 0.001)
    assert pace.mean_s > 0.1
    assert pace.ahead(1) == AHEAD
    assert pace.nap_s(AHEAD, 1) == NAP_S and pace.nap_s(2, 1) < 0.003


def test_dear_ones_are_handed_out_two_at_a_time() -> None:
    pace = Pace()
    pace.note(1, 60.0)
    assert pace.ahead(1) == 2
