"""How many sequences to hand out, how long to sleep and to wait, without any process."""

from __future__ import annotations

import pytest

from sequence_tutor.rewards.isolation.pace import AHEAD, NAP_S, STUCK_S, Pace


def test_before_the_first_note_two_are_handed_out() -> None:
    pace = Pace()
    assert (pace.ahead(1), pace.nap_s(2, 1), pace.patience_s(1)) == (2, 0, STUCK_S)


def test_the_mean_is_over_sequences() -> None:
    pace = Pace()
    pace.note(3, 3.0)
    pace.note(1, 5.0)
    assert pace.mean_s == pytest.approx(2.0)
    assert pace.patience_s(1) == pytest.approx(16.0)
    assert pace.patience_s(10) == pytest.approx(160.0)


def test_few_slow_sequences_do_not_reduce_the_prefetch() -> None:
    pace = Pace()
    for i in range(1000):
        pace.note(1, 10.0 if i % 50 == 0 else 0.001)
    assert pace.mean_s > 0.1
    assert pace.ahead(1) == AHEAD
    assert pace.nap_s(AHEAD, 1) == NAP_S and pace.nap_s(2, 1) < 0.003


def test_slow_sequences_are_handed_out_two_at_a_time() -> None:
    pace = Pace()
    pace.note(1, 60.0)
    assert pace.ahead(1) == 2
