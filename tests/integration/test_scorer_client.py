"""Scorers with shards in Ray actors that are killed meanwhile."""

import os
import signal
import threading
import time
from collections import Counter

import numpy as np
import pytest
import ray
from records import read_record
from shards import settings

from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.replay.messages import Claim, combine
from sequence_tutor.distributed.replay.ray_shards import create_shards, ray_replay
from sequence_tutor.distributed.replay.record.writer import shard_of
from sequence_tutor.distributed.replay.scorer_client import ScorerClient

KNOWN, YOURS, BUSY = Claim
KEYS = [f"key {i}" for i in range(300)]
# Settings of shards that flush only on request.
NEVER = {"flush_rows": 10**6, "flush_seconds": 1e6}


@pytest.fixture(scope="module")
def shared_replay(local_ray, tmp_path_factory):
    """A replay for tests that kill no process and release their keys."""
    directory = tmp_path_factory.mktemp("record")
    handles = create_shards(2, directory, settings(lease_s=60.0, **NEVER))
    yield ray_replay(handles)
    for handle in handles:
        ray.kill(handle)


@pytest.fixture
def start(local_ray, tmp_path):
    handles = []

    def start(lease_s: float = 8.0) -> ReplayClient:
        handles.extend(
            create_shards(
                2,
                tmp_path,
                settings(lease_s=lease_s, **NEVER),
            )
        )
        replay = ray_replay(handles, deadline_s=60.0)
        replay.stats()
        return replay

    yield start
    for handle in handles:
        ray.kill(handle)


def test_claims_are_in_the_order_of_the_keys(shared_replay, make_scored):
    replay = shared_replay
    a, b = ScorerClient(replay, "a"), ScorerClient(ray_replay(replay.calls.handles), "b")
    scored = make_scored(KEYS[:50])
    assert a.add(scored).added == 50
    asked = [*KEYS[40:60], KEYS[45], KEYS[55]]
    claims = a.claim(asked)
    assert claims.state.tolist() == [KNOWN] * 10 + [YOURS] * 10 + [KNOWN, YOURS]
    np.testing.assert_array_equal(claims.known.rewards, scored.rewards[[*range(40, 50), 45]])
    assert claims.paid is None and not claims.losses.any()
    assert b.claim(asked).state.tolist() == [KNOWN] * 10 + [BUSY] * 10 + [KNOWN, BUSY]
    # a second thread of the same process must not score them either
    assert a.claim(asked[10:12]).state.tolist() == [BUSY, BUSY]

    b.release(asked)  # not its own
    a.release(KEYS[50:55])
    assert b.claim(KEYS[50:60]).state.tolist() == [YOURS] * 5 + [BUSY] * 5
    b.add(make_scored(KEYS[50:55]))
    assert a.claim(KEYS[50:55]).state.tolist() == [KNOWN] * 5
    assert a.claim([]).state.tolist() == []
    assert combine(replay.stats()).claimed_keys == 5
    a.release(KEYS)
    assert combine(replay.stats()).claimed_keys == 0


def test_rows_are_kept_until_they_are_on_record(shared_replay, make_scored):
    replay, claimant = shared_replay, ScorerClient(shared_replay, "a")
    claimant.add(make_scored(KEYS[150:200]))
    claimant.beat()
    assert claimant.unrecorded_rows == 50
    replay.flush()
    claimant.beat()
    assert claimant.unrecorded_rows == 0
    # adding is enough, too
    claimant.add(make_scored(KEYS[200:250]))
    replay.flush()
    claimant.add(make_scored(KEYS[250:260]))
    assert claimant.unrecorded_rows == 10


def test_a_beat_does_not_renew_a_released_key(shared_replay):
    replay, claimant = shared_replay, ScorerClient(shared_replay, "a")
    stop = threading.Event()

    def beat() -> None:
        while not stop.is_set():
            claimant.beat()

    thread = threading.Thread(target=beat)
    thread.start()
    for i in range(10):
        keys = [f"{k} {i}" for k in KEYS[:10]]
        assert claimant.claim(keys).state.tolist() == [YOURS] * 10
        claimant.release(keys)
    stop.set()
    thread.join()
    assert combine(replay.stats()).claimed_keys == 0


@pytest.mark.nightly
def test_only_a_silent_holder_loses_its_keys(start):
    lease_s = 3.0
    replay = start(lease_s)
    dead, alive, next_one = (ScorerClient(replay, name) for name in ("dead", "alive", "next"))
    dead.claim(KEYS[:5])
    alive.claim(KEYS[5:10])
    until = time.monotonic() + 1.2 * lease_s
    while time.monotonic() < until:
        alive.beat()
        assert next_one.claim(KEYS[5:10]).state.tolist() == [BUSY] * 5
        time.sleep(lease_s / 10)
    claims = next_one.claim(KEYS[:10])
    assert claims.state.tolist() == [YOURS] * 5 + [BUSY] * 5
    assert claims.losses.tolist() == [1] * 5 + [0] * 5
    assert combine(replay.stats()).losses == 5


def test_a_killed_shard_loses_no_row_and_no_claim(start, make_scored, tmp_path):
    """Four scorers and two shards that flush only on request; one shard is killed meanwhile."""
    replay = start()
    paid: Counter[str] = Counter()
    counting, stop = threading.Lock(), threading.Event()
    claimants = [ScorerClient(ray_replay(replay.calls.handles), f"scorer {i}") for i in range(4)]

    def beat(claimant: ScorerClient) -> None:
        while not stop.wait(0.3):
            claimant.beat()

    def score(claimant: ScorerClient, seed: int) -> None:
        left = [KEYS[i] for i in np.random.default_rng(seed).permutation(300)]
        while left:
            batch, left = left[:15], left[15:]
            state = claimant.claim(batch).state
            mine = [k for k, s in zip(batch, state, strict=True) if s == YOURS]
            with counting:
                paid.update(mine)
            if mine:
                time.sleep(0.05)
                claimant.add(make_scored(mine))
            busy = [k for k, s in zip(batch, state, strict=True) if s == BUSY]
            if busy:
                time.sleep(0.05)
            left += busy

    threads = [threading.Thread(target=beat, args=(c,)) for c in claimants]
    threads += [threading.Thread(target=score, args=(c, i)) for i, c in enumerate(claimants)]
    for thread in threads:
        thread.start()
    while len(paid) < 100:
        time.sleep(0.01)
    ray.kill(replay.calls.handles[0], no_restart=False)
    for thread in threads[4:]:
        thread.join(60)
    for _ in range(50):
        if combine(replay.stats()).rows == 300:
            break
        time.sleep(0.1)
    stop.set()
    for thread in threads[:4]:
        thread.join(60)
    assert paid == Counter(KEYS)
    stats = combine(replay.stats())
    assert (stats.rows, stats.paid_rows, stats.claimed_keys, stats.losses) == (300, 300, 0, 0)
    replay.flush()
    assert sorted(read_record(tmp_path).keys) == sorted(KEYS)


@pytest.mark.nightly
def test_control_without_beats_a_killed_shard_loses_rows(start, make_scored):
    """The control."""
    replay = start()
    ScorerClient(replay, "a").add(make_scored(KEYS))
    ray.kill(replay.calls.handles[0], no_restart=False)
    replay.flush()  # waits for it
    lost = sum(shard_of(key, 2) == 0 for key in KEYS)
    assert combine(replay.stats()).rows == 300 - lost < 300


def test_a_beat_does_not_wait_for_a_dead_shard(start, make_scored):
    replay = start()
    claimant = ScorerClient(replay, "a")
    claimant.add(make_scored(KEYS))
    shard = ray.get(replay.calls.handles[0].__ray_call__.remote(lambda shard: os.getpid()))
    os.kill(shard, signal.SIGSTOP)  # unlike a killed shard it isn't restarted
    begun = time.monotonic()
    claimant.beat()
    assert time.monotonic() - begun < replay.calls.deadline_s / 2
    os.kill(shard, signal.SIGKILL)
    deadline = time.monotonic() + 120
    while combine(replay.stats()).rows < 300 and time.monotonic() < deadline:
        claimant.beat()
        time.sleep(0.1)
    assert combine(replay.stats()).rows == 300
    assert claimant.unrecorded_rows == 300
    replay.flush()
    claimant.beat()
    assert claimant.unrecorded_rows == 0
