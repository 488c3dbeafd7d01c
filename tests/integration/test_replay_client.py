"""Shards in Ray actors, one of which is killed."""

import gc
import os
import signal
import time

import numpy as np
import pytest
import ray
from ray.exceptions import ActorUnavailableError
from records import read_record
from shards import settings

from sequence_tutor.distributed.replay.client import split
from sequence_tutor.distributed.replay.messages import EmptyReplayError, combine
from sequence_tutor.distributed.replay.ray_shards import create_shards, ray_replay
from sequence_tutor.distributed.replay.record.writer import shard_of
from sequence_tutor.distributed.replay.sampler import RankSampler
from sequence_tutor.distributed.replay.scorer_client import ScorerClient
from sequence_tutor.distributed.types import concatenate
from sequence_tutor.rewards.base import Status

KEYS = [f"key {i}" for i in range(300)]


def test_split_keeps_every_row_with_its_shard(make_scored, assert_same):
    scored = make_scored(KEYS)
    pieces = split(scored, 4)
    assert all(shard_of(k, 4) == shard for shard, p in pieces.items() for k in p.keys)
    order = np.argsort([KEYS.index(k) for p in pieces.values() for k in p.keys])
    assert_same(concatenate(list(pieces.values())).select(order), scored)
    assert list(split(make_scored(["a"]), 2)) == [shard_of("a", 2)]


@pytest.fixture
def replay(local_ray, tmp_path):
    handles = create_shards(2, tmp_path, settings(flush_rows=1))
    yield ray_replay(handles, deadline_s=60.0)
    for handle in handles:
        ray.kill(handle)


def test_two_shards_act_as_one(replay, make_scored, assert_same):
    with pytest.raises(EmptyReplayError, match="no shard"):
        replay.sample(8, seed=0)
    scored = make_scored(KEYS, status=[Status(i % 5) for i in range(300)])
    result = replay.add(scored)
    assert (result.added, result.duplicates, result.paid) == (300, 0, 240)
    assert replay.add(make_scored(KEYS[:50], seed=1)).duplicates == 50

    drawn = replay.sample(64, seed=1, batches=6)
    batches = ray.get(drawn)
    assert [len(batch.tokens) for batch in batches] == [64] * 6
    assert len({len(np.unique(b.rewards.sum(1))) for b in batches}) > 1  # from both shards
    again = ray.get(replay.sample(64, seed=1, batches=6))
    for batch, same in zip(batches, again, strict=True):
        np.testing.assert_array_equal(batch.tokens, same.tokens)

    total = combine(replay.stats())
    assert (total.rows, total.trainable_rows, total.valid_rows, total.live) == (300, 120, 60, True)
    valid = scored.select(np.flatnonzero(scored.status == Status.OK))
    order = np.argsort(-valid.rewards)
    best = valid.rewards[order]
    np.testing.assert_array_equal(total.best, best)
    assert total.best_sources == [valid.sources[i] for i in order]
    np.testing.assert_array_equal(replay.top(10).rewards, best[:10])


def test_a_shard_that_does_not_answer_raises_with_its_number(replay):
    pid = ray.get(replay.calls.handles[0].__ray_call__.remote(lambda shard: os.getpid()))
    replay.calls.deadline_s = 0.5
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError, match=r"shard 0 of 2 hasn't answered flush\(\)"):
            replay.flush()
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_killed_shard_restarts_with_its_rows(replay, make_scored):
    scored = make_scored(KEYS)
    replay.add(scored)
    replay.stats()
    ray.kill(replay.calls.handles[0], no_restart=False)
    # the control loop goes on with the other shard...
    start = time.monotonic()
    drawn = replay.sample(16, seed=0, batches=4)
    assert [len(batch.lengths) for batch in ray.get(drawn)] == [16] * 4
    assert time.monotonic() - start < 10
    # ... and scorers wait for the restarted shard, as they mustn't pay twice
    known = ScorerClient(replay, "test").claim(KEYS).known
    np.testing.assert_array_equal(known.rewards, scored.rewards)
    assert replay.add(make_scored(KEYS, seed=1)).duplicates == 300
    stats = replay.stats()
    assert sum(s.rows for s in stats) == 300 and all(s.live for s in stats)
    assert len(ray.get(replay.sample(16, seed=0)[0]).lengths) == 16


def test_start_sampling_does_not_wait_for_shards(replay, make_scored):
    replay.add(make_scored(KEYS))
    replay.stats()
    expected = ray.get(replay.sample(16, seed=3, batches=4))
    pids = ray.get([h.__ray_call__.remote(lambda shard: os.getpid()) for h in replay.calls.handles])
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        coming = replay.start_sampling(16, seed=3, batches=4)
        assert not ray.wait(coming, timeout=0.1)[0]
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    for one, other in zip(ray.get(coming), expected, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)


def test_a_call_in_flight_is_repeated(replay, make_scored, monkeypatch):
    replay.add(make_scored(KEYS[:100]))
    start, killed = replay.calls.start, []

    def kill_first(shard, method, *arguments):
        ref = start(shard, method, *arguments)
        while not killed:  # if the call was answered before the kill, try again
            ray.kill(replay.calls.handles[shard], no_restart=False)
            try:
                ray.get(ref)
                ref = start(shard, method, *arguments)
            except ActorUnavailableError:
                killed.append(shard)
        return ref

    monkeypatch.setattr(replay.calls, "start", kill_first)
    assert len(ScorerClient(replay, "test").claim(KEYS[:100]).known) == 100
    assert killed


def test_all_shards_rewind_to_a_checkpoint(replay, make_scored, assert_same):
    scored = make_scored(KEYS)
    first = [i for i in range(100) if shard_of(KEYS[i], 2) == 1]
    replay.add(scored.select(first))
    assert len(ray.get(replay.sample(50, seed=0)[0]).lengths) == 50  # an empty shard is skipped
    replay.add(scored.select([i for i in range(100) if i not in first]))
    live = [s.rows for s in replay.stats()]
    replay.add(scored.select(range(100, 300)))
    with pytest.raises(ValueError, match="3 shards for a replay of 2"):
        replay.rewind([1, 2, 3])
    replay.rewind(live)
    total = combine(replay.stats())
    assert (total.rows, total.recorded_later_rows) == (100, 200)
    claimant = ScorerClient(replay, "test")
    claims = claimant.claim([*KEYS[90:110], "new"])
    assert claims.state.tolist() == [0] * 10 + [1] * 11
    assert claims.already_scored_at.tolist() == list(range(10, 20))
    assert_same(claims.paid, scored.select(range(100, 110)))
    result = claimant.add(claims.paid)
    assert (result.added, result.paid) == (10, 10)
    assert (combine(replay.stats()).rows, claimant.unrecorded_rows) == (110, 0)


def test_a_broken_part_raises_with_its_name(local_ray, tmp_path):
    name = "part-00000000-0000-of-0001-00000000.parquet"
    (tmp_path / name).write_bytes(b"nonsense")
    replay = ray_replay(
        create_shards(1, tmp_path, settings(sampler=RankSampler())), deadline_s=30.0
    )
    with pytest.raises(RuntimeError, match=f"(?s)can't be brought back.*{name}"):
        replay.stats()


def test_shards_without_a_handle_flush_waiting_rows(local_ray, tmp_path, make_scored):
    replay = ray_replay(create_shards(2, tmp_path, settings()))
    replay.add(make_scored(KEYS))
    assert read_record(tmp_path) is None
    del replay
    gc.collect()
    deadline = time.monotonic() + 120
    while (record := read_record(tmp_path)) is None or len(record) < 300:
        assert time.monotonic() < deadline
        time.sleep(0.1)
