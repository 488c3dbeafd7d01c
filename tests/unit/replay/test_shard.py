"""A shard without Ray: memory, sampling, and reloading its record."""

from dataclasses import replace

import numpy as np
import pytest
from shards import open_shard

from sequence_tutor.distributed.replay.messages import BEST, WARM_START, Claim, EmptyReplayError
from sequence_tutor.distributed.replay.record.writer import shard_of
from sequence_tutor.distributed.replay.sampler import FreshMix, RankSampler, UniformSampler
from sequence_tutor.distributed.replay.shard import ReplayShard
from sequence_tutor.distributed.types import Scored, TrainingBatch, concatenate
from sequence_tutor.rewards.base import Status

KEYS = [f"key {i}" for i in range(3000)]  # beyond the first allocation
ALL_STATUS = [Status(i % 5) for i in range(3000)]


@pytest.fixture
def new_shard(tmp_path):
    def new(**options) -> ReplayShard:
        return open_shard(tmp_path, **({"sampler": UniformSampler()} | options))

    return new


def same_batch(a: TrainingBatch, b: TrainingBatch) -> bool:
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in a.__dataclass_fields__)


def held(shard: ReplayShard) -> Scored:
    """The rows held whole, in the order of their arrival."""
    return shard._memory.columns.read(shard._memory.kept.slots)


def knows(shard: ReplayShard, keys: list[str]) -> list[bool]:
    return (shard.claim("test", keys).state == Claim.KNOWN).tolist()


@pytest.mark.parametrize("steps", [False, True])
def test_a_shard_holds_the_rows_it_was_given(new_shard, make_scored, assert_same, steps):
    shard = new_shard()
    batches = [
        make_scored(KEYS[at : at + 500], status=ALL_STATUS[at : at + 500], steps=steps, seed=at)
        for at in range(0, 3000, 500)
    ]
    for batch in batches:
        shard.add(batch)
    everything = concatenate(batches)
    assert_same(held(shard), everything.select(np.flatnonzero(everything.status <= Status.INVALID)))
    known = shard.claim("test", [*KEYS[::-1], "unknown"]).known
    assert len(known) == 3000
    for name in ("rewards", "status", "seconds"):
        np.testing.assert_array_equal(getattr(known, name), getattr(everything, name)[::-1])
    assert known.errors == everything.errors[::-1]
    for name, values in everything.raw.items():
        np.testing.assert_array_equal(known.raw[name], values[::-1])
    nothing = shard.claim("test", [])
    assert (len(nothing.state), len(nothing.known), nothing.paid) == (0, 0, None)


def test_the_first_row_of_a_key_is_kept(new_shard, make_scored, assert_same):
    shard = new_shard()
    status = [Status.OK, Status.INVALID, Status.OK, Status.TIMEOUT]
    first = make_scored(["a", "b", "a", "c"], status=status)
    result = shard.add(first)
    assert (result.added, result.duplicates, result.paid, result.position) == (3, 1, 2, 3)
    again = shard.add(make_scored(["c", "d", "b"], seed=1))
    assert (again.added, again.duplicates, again.paid, again.position) == (1, 2, 1, 4)
    assert again.epoch == result.epoch != new_shard().add(first).epoch
    assert_same(held(shard).select([0, 1]), first.select([0, 1]))
    rewards = shard.claim("test", ["b", "a"]).known.rewards
    np.testing.assert_array_equal(rewards, first.rewards[[1, 0]])


def test_warm_start_rows_are_not_paid(new_shard, make_scored):
    shard = new_shard()
    warm = make_scored(["a", "b", "c"], status=[Status.OK, Status.INVALID, Status.FAILED])
    warm.sources[:] = [WARM_START] * 3
    assert shard.add(warm).paid == 0
    status = [Status(i) for i in range(5)]
    assert shard.add(make_scored(["d", "e", "f", "g", "h"], status=status)).paid == 4
    shard.flush()
    assert shard.stats().paid_rows == new_shard().stats().paid_rows == 4


def test_a_restart_reloads_only_flushed_rows(new_shard, make_scored, assert_same):
    shard = new_shard(flush_rows=1000, sampler=FreshMix(RankSampler()))
    for at in range(0, 2500, 500):
        batch = make_scored(KEYS[at : at + 500], status=ALL_STATUS[at : at + 500], seed=at)
        shard.add(batch)
    assert shard.stats().waiting_rows == 500
    again = new_shard(sampler=FreshMix(RankSampler()))
    assert knows(again, KEYS[:2500]) == [True] * 2000 + [False] * 500

    shard.flush()
    again = new_shard(sampler=FreshMix(RankSampler()))
    assert_same(held(again), held(shard))
    before, after = shard.stats(), again.stats()
    assert after.waiting_rows == before.waiting_rows == 0
    for name in ("rows", "trainable_rows", "valid_rows", "failed_rows", "paid_rows", "kept_rows"):
        assert getattr(after, name) == getattr(before, name) > 0
    assert np.array_equal(after.best, before.best)
    assert same_batch(again.sample(64, seed=3), shard.sample(64, seed=3))
    mine, its = (s.claim("test", KEYS[:2500]).known for s in (shard, again))
    np.testing.assert_array_equal(mine.rewards, its.rewards)
    np.testing.assert_array_equal(mine.raw["size"], its.raw["size"])
    assert mine.errors == its.errors and "" in its.errors and "error of key 3" in its.errors
    assert again.add(make_scored(KEYS[:1])).duplicates == 1


def test_sample_is_determined_by_content_and_seed(new_shard, make_scored):
    shard = new_shard()
    shard.add(make_scored(KEYS[:200]))
    assert same_batch(shard.sample(32, seed=5), shard.sample(32, seed=5))
    assert not same_batch(shard.sample(32, seed=5), shard.sample(32, seed=6))


def test_a_terminal_reward_lies_on_the_last_action(new_shard, make_scored):
    shard = new_shard()
    scored = make_scored(KEYS[:200])
    shard.add(scored)
    batch = shard.sample(200, seed=0)  # without replacement: all of them
    assert (batch.tokens.dtype, batch.rewards.dtype) == (np.int16, np.float32)
    assert batch.tokens.shape == batch.rewards.shape == (200, scored.lengths.max())
    assert np.count_nonzero(batch.rewards) == 200
    last = batch.rewards[np.arange(200), batch.lengths - 1]
    assert sorted(last.tolist()) == sorted(scored.rewards.astype(np.float32).tolist())
    assert sorted(batch.versions) == sorted(scored.versions)
    beyond = np.arange(batch.tokens.shape[1]) >= batch.lengths[:, None]
    assert beyond.any() and not batch.tokens[beyond].any()


def test_step_rewards_stay_with_their_row(new_shard, make_scored):
    shard = new_shard(rewrite=lambda *_: np.ones(3, np.int16), rewrite_share=1.0)
    scored = make_scored(KEYS[:50], steps=True)
    shard.add(scored)
    batch = shard.sample(50, seed=0)
    given = np.concatenate([scored.tokens, scored.step_rewards], axis=1)
    drawn = np.concatenate([batch.tokens, batch.rewards], axis=1)
    assert sorted(drawn.tolist()) == sorted(given.tolist())


def test_batches_are_as_wide_as_their_longest_row(new_shard, make_scored):
    shard = new_shard(sampler=RankSampler(top=1))
    scored = make_scored(KEYS[:50], rewards=-np.arange(50.0))
    assert scored.lengths[0] < scored.lengths.max()
    shard.add(scored)
    assert shard.sample(4, seed=0).tokens.shape == (4, scored.lengths[0])


def test_rows_without_a_reward_are_never_sampled(new_shard, make_scored):
    shard = new_shard()
    rewards = np.arange(3000.0)
    rewards[0] = np.nan  # status OK, but the reward isn't a number
    rewards[5] = np.inf
    scored = make_scored(KEYS, rewards=rewards, status=ALL_STATUS)
    scored.lengths[10] = 0  # of a warm start, and not expressible in tokens
    shard.add(scored)
    stats = shard.stats()
    assert (stats.rows, stats.valid_rows, stats.failed_rows) == (3000, 600, 1800)
    assert stats.trainable_rows == 1200 - 3
    batch = shard.sample(1197, seed=0)
    trainable = [i for i in range(3000) if i % 5 < 2 and i not in (0, 5, 10)]
    assert sorted(batch.rewards.sum(1).tolist()) == rewards[trainable].tolist()


def test_sampling_without_trainable_rows_raises(new_shard, make_scored):
    shard = new_shard()
    with pytest.raises(EmptyReplayError, match="no trainable row"):
        shard.sample(1, seed=0)
    assert len(shard.top(3)) == 0
    shard.add(make_scored(["a"], status=[Status.CRASHED]))
    with pytest.raises(EmptyReplayError, match="1 rows held"):
        shard.sample(1, seed=0)
    shard.add(make_scored(["b"], status=[Status.INVALID]))
    assert len(shard.sample(1, seed=0).lengths) == 1
    assert len(shard.top(3)) == 0
    with pytest.raises(ValueError, match="0 rows"):
        shard.sample(0, seed=0)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_share_of_the_valid_rows_is_rewritten(new_shard, make_scored, share):
    spelled = []

    def rewrite(sequence, random):
        spelled.append(sequence)
        return np.full(20 + random.integers(5), 77, np.int16)  # longer than any original

    shard = new_shard(rewrite=rewrite, rewrite_share=share)
    status = [Status(i % 2) for i in range(400)]
    scored = make_scored(KEYS[:400], status=status)
    shard.add(scored)
    batch = shard.sample(400, seed=0)
    new = (batch.tokens == 77).any(1)
    assert new.sum() == len(spelled) == pytest.approx(200 * share, abs=1)
    valid = {s for s, k in zip(scored.sequences, status, strict=True) if k == Status.OK}
    assert len(set(spelled)) == len(spelled) and set(spelled) <= valid
    assert (batch.lengths[new] >= 20).all() and batch.tokens.shape[1] == batch.lengths.max()
    # the reward is at the new end
    assert (np.count_nonzero(batch.rewards, axis=1) == 1).all()
    assert batch.rewards[np.arange(400), batch.lengths - 1].all()
    assert batch.rewards.sum() / 400 == pytest.approx(scored.rewards.mean())
    assert same_batch(shard.sample(400, seed=0), batch)


def test_sequences_without_another_spelling_stay_as_they_are(new_shard, make_scored):
    shard = new_shard(rewrite=lambda *_: None, rewrite_share=1.0)
    shard.add(make_scored(KEYS[:100]))
    plain = new_shard()
    plain.add(make_scored(KEYS[:100]))
    assert sorted(shard.sample(100, 0).tokens.sum(1)) == sorted(plain.sample(100, 0).tokens.sum(1))


def test_top_and_stats_have_the_best_valid_rows(new_shard, make_scored):
    shard = new_shard()
    rewards = np.random.default_rng(0).permutation(1000).astype(float)
    status = [Status.OK if r < 900 else Status.INVALID for r in rewards]
    for at in range(0, 1000, 100):
        rows = slice(at, at + 100)
        scored = make_scored(KEYS[rows], rewards=rewards[rows], status=status[rows])
        sources = ["genetic" if r >= 880 else "policy" for r in rewards[rows]]
        shard.add(replace(scored, sources=sources))
    assert shard.top(7).rewards.tolist() == list(range(899, 892, -1))
    stats = shard.stats()
    assert stats.best.tolist() == list(range(899, 899 - BEST, -1))
    assert stats.best_sources == ["genetic"] * 20 + ["policy"] * (BEST - 20)


def test_inconsistent_columns_raise_and_add_no_row(new_shard, make_scored, assert_same):
    shard = new_shard()
    shard.add(make_scored(["a"]))
    broken = make_scored(["b", "c"])
    broken.sources.pop()
    with pytest.raises(ValueError, match="sources"):
        shard.add(broken)
    broken = make_scored(["b", "c"])
    broken.lengths[1] = 99
    with pytest.raises(ValueError, match="lengths up to 99"):
        shard.add(broken)
    good = make_scored(["b", "c"])
    assert shard.add(good).added == 2
    assert_same(held(shard).select([1, 2]), good)


def test_rows_of_another_shard_raise(tmp_path, make_scored):
    shard = open_shard(tmp_path, 0, 2, sampler=UniformSampler())
    others = [k for k in KEYS[:20] if shard_of(k, 2) == 1]
    with pytest.raises(ValueError, match="for shard 1"):
        shard.add(make_scored(others))


def test_mixed_rewards_become_step_rewards(new_shard, make_scored):
    shard = new_shard()
    terminal, paid = make_scored(["a", "b"]), make_scored(["c", "d"], steps=True)
    shard.add(terminal)
    shard.add(paid)
    rows = held(shard)
    assert rows.step_rewards[0].sum() == np.float32(terminal.rewards[0])
    np.testing.assert_array_equal(rows.step_rewards[2].sum(), paid.step_rewards[0].sum())


def test_held_bytes_grow_with_the_rows(new_shard, make_scored):
    shard = new_shard()
    shard.add(make_scored(KEYS[:2048]))
    before = shard.stats().held_bytes
    shard.add(make_scored(KEYS[2048:], seed=1))
    # per row: 24 tokens and 45 bytes of numbers at least
    assert 2048 * 93 < before < 2048 * 800
    assert shard.stats().held_bytes > before
