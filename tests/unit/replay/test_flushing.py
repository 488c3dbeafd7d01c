"""A shard and its record: when rows are written, and which shards read them."""

from dataclasses import replace

import pytest
from shards import open_shard

from sequence_tutor.distributed.replay.messages import Claim, combine
from sequence_tutor.distributed.replay.shard import ReplayShard

KEYS = [f"key {i}" for i in range(150)]


@pytest.fixture
def new_shard(tmp_path):
    def new(**options) -> ReplayShard:
        return open_shard(tmp_path, **options)

    return new


def knows(shard: ReplayShard, keys: list[str]) -> list[bool]:
    return (shard.claim("test", keys).state == Claim.KNOWN).tolist()


def test_durable_positions_count_the_rows_on_record(new_shard, make_scored):
    shard = new_shard(flush_rows=10, flush_seconds=1e9)
    assert shard.renew("a", []).durable == 0
    results = [shard.add(make_scored(KEYS[at : at + 4])) for at in range(0, 16, 4)]
    assert [r.position for r in results] == [4, 8, 12, 16]
    assert [r.durable for r in results] == [0, 0, 12, 12]
    assert shard.add(make_scored(KEYS[12:16])).position == 16  # duplicates, still waiting
    beat = shard.renew("a", [])
    assert (beat.epoch, beat.durable) == (results[0].epoch, 12)
    shard.flush()
    assert shard.renew("a", []).durable == 16
    assert new_shard().renew("a", []).durable == 0  # a restarted shard counts anew


def test_any_call_flushes_after_flush_seconds(new_shard, make_scored):
    shard = new_shard(flush_seconds=0.0)
    shard.add(make_scored(["a"]))
    assert shard.stats().waiting_rows == 0
    calls = [
        lambda s: s.stats(),
        lambda s: s.sample(1, 0),
        lambda s: s.claim("a", []),
        lambda s: s.renew("a", []),
    ]
    for call in calls:
        shard = new_shard(flush_seconds=1e9)
        shard.add(make_scored([f"b{call}"]))
        assert shard._writer.waiting == 1
        shard._writer._flush_seconds = 0.0
        call(shard)
        assert shard._writer.waiting == 0


def test_scores_of_another_reward_are_unknown(new_shard, make_scored):
    by_qed = new_shard(reward_id="qed")
    by_qed.add(make_scored(KEYS[:100]))
    by_qed.flush()
    by_logp = new_shard(reward_id="logp")
    assert by_logp.stats().rows == 0
    assert not any(knows(by_logp, KEYS[:100]))
    assert by_logp.add(make_scored(KEYS[50:150], seed=1)).added == 100
    by_logp.flush()
    assert new_shard(reward_id="qed").stats().rows == 100
    assert knows(new_shard(reward_id="qed"), [KEYS[0], KEYS[120]]) == [True, False]
    assert knows(new_shard(reward_id="logp"), [KEYS[0], KEYS[120]]) == [False, True]


def test_a_full_disk_raises_in_add_and_loses_no_row(new_shard, make_scored, monkeypatch):
    shard = new_shard(flush_rows=10)

    def full(*_):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(shard._writer._store, "write", full)
        shard.add(make_scored(KEYS[:5]))
        with pytest.raises(OSError, match="no space"):
            shard.add(make_scored(KEYS[5:20]))
        shard._writer._flush_seconds = 0.0
        assert shard.renew("a", []).durable == 0  # renewing works all the same
    assert shard.add(make_scored(KEYS[5:20])).durable == 20
    assert new_shard().stats().rows == 20


def test_stats_have_the_wait_of_the_oldest_row(new_shard, make_scored):
    now = 100.0
    shard = new_shard(flush_seconds=10.0, clock=lambda: now)
    assert shard.stats().waiting_s == 0
    shard.add(make_scored(["a"]))
    now = 104.0
    shard.add(make_scored(["b"]))
    now = 109.0
    assert shard.stats().waiting_s == 9
    idle = replace(shard.stats(), waiting_s=2.0)
    assert combine([idle, shard.stats()]).waiting_s == 9
    now = 110.0
    assert (shard.stats().waiting_s, shard.stats().waiting_rows) == (0, 0)
