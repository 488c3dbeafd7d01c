"""Invalid rows without a reward of their own get the worst valid reward."""

import math

import numpy as np
import pytest
from shards import open_shard

from sequence_tutor.distributed.replay.messages import combine, floor_of
from sequence_tutor.distributed.replay.sampler import FreshMix, RankSampler, UniformSampler
from sequence_tutor.distributed.replay.shard import ReplayShard
from sequence_tutor.rewards.base import Status

OK, INVALID, FAILED = Status.OK, Status.INVALID, Status.FAILED


@pytest.fixture
def new_shard(tmp_path):
    def new(**options) -> ReplayShard:
        return open_shard(tmp_path, **({"sampler": UniformSampler()} | options))

    return new


def by_version(shard: ReplayShard, n: int, **options) -> dict[int, np.ndarray]:
    """The step rewards of the rows, each drawn once, by their version."""
    batch = shard.sample(n, 0, **options)
    rows = zip(batch.versions.tolist(), batch.rewards, batch.lengths, strict=True)
    return {version: rewards[:length] for version, rewards, length in rows}


def numbered(scored):
    scored.versions[:] = np.arange(len(scored))
    return scored


def test_unpriced_rows_get_the_worst_valid_reward(new_shard, make_scored):
    shard = new_shard()
    rewards, status = [-2.0, math.nan, -7.0, 3.0], [OK, INVALID, OK, INVALID]
    scored = numbered(make_scored(list("abcd"), rewards, status))
    shard.add(scored)
    stats = shard.stats()
    assert (stats.worst, stats.best_invalid, stats.trainable_rows) == (-7.0, 3.0, 4)
    drawn = by_version(shard, 4)
    assert drawn[1][-1] == -7.0 and not drawn[1][:-1].any()
    assert (drawn[0][-1], drawn[2][-1], drawn[3][-1]) == (-2.0, -7.0, 3.0)  # these have their own
    assert shard.sample(4, 0).rewards.sum() == -2 - 7 - 7 + 3
    assert np.isnan(shard.claim("x", ["b"]).known.rewards).all()  # on record it has none


@pytest.mark.parametrize(("elsewhere", "expected"), [(-9.0, -9.0), (-1.0, -7.0), (math.inf, -7.0)])
def test_a_worse_reward_of_another_shard_counts(new_shard, make_scored, elsewhere, expected):
    shard = new_shard()
    shard.add(numbered(make_scored(["a", "b"], [-7.0, math.nan], [OK, INVALID])))
    assert by_version(shard, 2, worst=elsewhere)[1][-1] == expected


def test_the_worst_reward_falls_and_failures_do_not_count(new_shard, make_scored):
    shard = new_shard()
    shard.add(numbered(make_scored(["b"], [math.nan], [INVALID])))
    assert by_version(shard, 1)[0][-1] == 0.0  # no valid row yet
    for key, reward, expected in (("c", 5.0, 5.0), ("d", 8.0, 5.0), ("e", -4.0, -4.0)):
        shard.add(make_scored([key], [reward]))
        assert by_version(shard, 100)[0][-1] == expected
    failed = make_scored(["f"], [math.nan], [FAILED])
    failed.rewards[:] = -99.0  # what the config pays for failures
    shard.add(failed)
    assert by_version(shard, 100)[0][-1] == -4.0
    assert shard.stats().best_invalid == -math.inf


def test_unpriced_rows_with_step_rewards_pay_at_the_last_action(new_shard, make_scored):
    shard = new_shard()
    scored = numbered(make_scored(["a", "b"], [-7.0, math.nan], [OK, INVALID], steps=True))
    scored.step_rewards[1] = np.nan  # as the reward returns it
    shard.add(scored)
    drawn = by_version(shard, 2)
    assert drawn[1][-1] == -7.0 and not drawn[1][:-1].any()
    length = scored.lengths[0]
    np.testing.assert_array_equal(drawn[0], scored.step_rewards[0, :length])


def test_unpriced_rows_rank_last_and_are_evicted_first(new_shard, make_scored):
    keys = [f"key {i}" for i in range(3000)]
    status = [INVALID if i % 2 else OK for i in range(3000)]
    rewards = [math.nan if i % 2 else -1e6 + i for i in range(3000)]
    shard = new_shard(sampler=FreshMix(RankSampler(top=700), fresh=0.0), memory_rows=1024)
    shard.add(numbered(make_scored(keys, rewards, status)))
    held = shard._memory.columns.read(shard._memory.kept.slots)
    old = held.select(np.flatnonzero(held.versions < 2000))
    assert len(old) and (old.status == OK).all()
    versions = shard.sample(400, 0).versions
    assert (versions % 2 == 0).all()


def test_a_reload_and_a_rewind_keep_the_worst_reward(new_shard, make_scored):
    shard = new_shard()
    rewards = [-1.0, math.nan, -7.0, math.nan]
    shard.add(numbered(make_scored(list("abcd"), rewards, [OK, INVALID, OK, INVALID])))
    before = shard.sample(64, 3)
    shard.flush()
    again = new_shard()
    assert again.stats().worst == -7.0 and again.stats().trainable_rows == 4
    np.testing.assert_array_equal(again.sample(64, 3).rewards, before.rewards)
    again.rewind(2)
    assert again.stats().worst == -1.0 and by_version(again, 2)[1][-1] == -1.0
    claims = again.claim("x", ["c", "d"])
    assert np.isnan(claims.paid.rewards[1])
    again.add(claims.paid, "x")
    np.testing.assert_array_equal(again.sample(64, 3).rewards, before.rewards)


def test_combined_stats_have_the_worst_of_all_shards(new_shard, make_scored):
    shard = new_shard()
    shard.add(make_scored(["a", "b"], [-7.0, 2.0], [OK, INVALID]))
    some = shard.stats()
    none = new_shard(reward_id="0123456789abcdef").stats()
    assert (none.worst, none.best_invalid) == (math.inf, -math.inf)
    both = combine([none, some])
    assert (both.worst, both.best_invalid) == (-7.0, 2.0)
    assert (floor_of(both.worst), floor_of(none.worst)) == (-7.0, 0.0)
