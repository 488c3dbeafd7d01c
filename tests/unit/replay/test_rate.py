"""The replay ratio holds, and never blocks actors and learner at the same time."""

import numpy as np
import pytest

from sequence_tutor.distributed.replay.rate import ReplayRatio


def simulate(rate: ReplayRatio, learner_share: float, seed: int) -> tuple[int, int]:
    """Rows inserted and sampled by a learner and actors of random batch sizes and speeds."""
    random = np.random.default_rng(seed)
    inserted = sampled = 0
    for _ in range(3000):
        s, i = random.integers(1, rate.sample_rows + 1), random.integers(1, rate.insert_rows + 1)
        may_sample = rate.may_sample(inserted, sampled, int(s))
        may_insert = rate.may_insert(inserted, sampled, int(i))
        assert may_sample or may_insert, "deadlock"
        if may_sample and (random.random() < learner_share or not may_insert):
            sampled += int(s)
        elif may_insert:
            inserted += int(i)
        if inserted >= rate.min_rows and sampled:
            overshoot = rate.ratio * rate.insert_rows  # of the insert that passes min_rows
            assert -rate.slack <= rate.balance(inserted, sampled) <= max(rate.slack, overshoot)
    return inserted, sampled


@pytest.mark.parametrize("learner_share", [0.02, 0.5, 0.98])
@pytest.mark.parametrize("ratio,sample_rows,insert_rows", [(8, 64, 64), (0.25, 7, 30), (3, 100, 1)])
def test_the_ratio_holds_at_any_speed_of_actors_and_learner(
    learner_share, ratio, sample_rows, insert_rows
):
    bound = (sample_rows + ratio * insert_rows) / 2
    rate = ReplayRatio(ratio, 20, bound, sample_rows=sample_rows, insert_rows=insert_rows)
    inserted, sampled = simulate(rate, learner_share, seed=0)
    assert abs(sampled - ratio * (inserted - 20)) <= bound + 1e-9


def test_too_little_slack_raises():
    with pytest.raises(ValueError, match="at least 288"):
        ReplayRatio(8, 20, 287, sample_rows=64, insert_rows=64)
    rate = ReplayRatio(8, 20, 288, sample_rows=64, insert_rows=64)
    rate.slack = 200.0  # the control: too little slack does deadlock
    with pytest.raises(AssertionError, match="deadlock"):
        simulate(rate, 0.5, seed=0)


def test_nothing_is_sampled_before_min_rows():
    rate = ReplayRatio(1, 100, sample_rows=10, insert_rows=10)
    assert not rate.may_sample(99, 0, 1) and rate.may_insert(99, 0, 10)
    assert rate.may_sample(100, 0, 10)


@pytest.mark.parametrize("arguments", [(-1, 1, 99), (1, 0, 99), (float("nan"), 1, 99)])
def test_wrong_arguments_raise(arguments):
    with pytest.raises(ValueError):
        ReplayRatio(*arguments, sample_rows=1, insert_rows=1)


def test_with_ratio_0_nothing_is_sampled_and_all_may_be_inserted():
    rate = ReplayRatio(0, 1, sample_rows=10, insert_rows=10)
    assert not rate.may_sample(10**6, 0, 1) and rate.may_insert(10**6, 0, 10)
    assert rate.owed(10**6, 0, 10) == 0 and np.isnan(rate.balance_share(10**6, 0))


def test_batches_above_the_declared_sizes_raise():
    rate = ReplayRatio(1, 1, sample_rows=10, insert_rows=20)
    with pytest.raises(ValueError, match="sample_rows is 10"):
        rate.may_sample(50, 0, 11)
    with pytest.raises(ValueError, match="insert_rows is 20"):
        rate.may_insert(50, 0, 21)


def test_balance_share_and_achieved_ratio():
    rate = ReplayRatio(2, 100, sample_rows=10, insert_rows=20)
    assert rate.slack == 50
    # 25 rows beyond min_rows allow 50 samples: the actors have to wait
    assert (rate.balance_share(125, 0), rate.may_insert(125, 0, 1)) == (1, False)
    assert (rate.balance_share(125, 100), rate.may_sample(125, 100, 1)) == (-1, False)
    assert (rate.balance_share(125, 25), rate.balance_share(500, 0), rate.balance_share(0, 0)) == (
        0.5,
        1,
        -1,
    )
    assert (rate.achieved(125, 25), rate.achieved(125, 50)) == (1, 2)
    assert np.isnan(rate.achieved(100, 0))
