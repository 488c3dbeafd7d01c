"""A shard with far more rows than it keeps whole, and one rewound to a checkpoint."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from records import read_record
from shards import open_shard

from sequence_tutor.distributed.arrow_schema import to_table
from sequence_tutor.distributed.replay.messages import Claim
from sequence_tutor.distributed.replay.record.writer import RecordError
from sequence_tutor.distributed.replay.sampler import FreshMix, UniformSampler
from sequence_tutor.distributed.replay.shard import ReplayShard
from sequence_tutor.distributed.types import concatenate
from sequence_tutor.rewards.base import Status

KEYS = [f"key {i}" for i in range(3000)]
STATUS = [Status((0, 0, 0, 1, 3)[i % 5]) for i in range(3000)]
SAMPLER = FreshMix(UniformSampler(), 0.25, 64)  # the draw depends on all kept rows


@pytest.fixture
def new_shard(tmp_path):
    def new(**options) -> ReplayShard:
        return open_shard(tmp_path, **({"sampler": SAMPLER, "memory_rows": 200} | options))

    return new


@pytest.fixture
def rows(make_scored):
    return make_scored(KEYS, status=STATUS)


def feed(shard: ReplayShard, rows, first: int = 0, last: int = 3000, batch: int = 70) -> None:
    for at in range(first, last, batch):
        shard.add(rows.select(range(at, min(last, at + batch))))


def same_samples(a: ReplayShard, b: ReplayShard) -> bool:
    pairs = [(a.sample(32, seed), b.sample(32, seed)) for seed in range(5)]
    return all(
        np.array_equal(getattr(x, name), getattr(y, name))
        for x, y in pairs
        for name in x.__dataclass_fields__
    )


def test_kept_rows_are_bounded_and_outcomes_are_not(new_shard, rows):
    shard = new_shard()
    feed(shard, rows)
    stats = shard.stats()
    assert stats.rows == 3000 and 200 <= stats.kept_rows < 250
    assert len(shard._memory.columns) <= 250
    assert (stats.valid_rows, stats.failed_rows) == (1800, 600)
    known = shard.claim("a", KEYS).known  # evicted ones, too
    np.testing.assert_array_equal(known.rewards, rows.rewards)
    assert known.errors == rows.errors
    judged = rows.rewards[rows.status == Status.OK]
    assert shard.top(50).rewards.tolist() == np.sort(judged)[::-1][:50].tolist()
    drawn = shard.sample(64, 0)
    assert len(drawn.lengths) == 64


def bytes_per_row(shard: ReplayShard, rows) -> float:
    feed(shard, rows, 0, 1000)
    shard.flush()
    before = shard.stats().held_bytes
    feed(shard, rows, 1000, 3000)
    shard.flush()
    return (shard.stats().held_bytes - before) / 2000


def test_an_outcome_takes_less_than_100_bytes(new_shard, make_scored, tmp_path):
    rows = make_scored(KEYS)
    assert bytes_per_row(new_shard(), rows) < 100
    assert (
        bytes_per_row(new_shard(reward_id="other", memory_rows=10_000), rows) > 300
    )  # the control


@pytest.mark.parametrize("batch", [7, 33, 3000])
def test_a_restarted_shard_draws_the_same_samples(new_shard, rows, batch):
    shard = new_shard(flush_rows=256)
    feed(shard, rows, batch=batch)
    shard.flush()
    again = new_shard()
    assert same_samples(shard, again)
    assert again.stats().kept_rows == shard.stats().kept_rows
    assert again.top(150).keys == shard.top(150).keys
    # and they stay the same
    more = rows.select(range(3000))
    more.keys[:] = [f"more {i}" for i in range(3000)]
    feed(shard, more, last=400)
    feed(again, more, last=400, batch=7)
    assert same_samples(shard, again)
    other = new_shard(memory_rows=150)  # the control
    feed(other, more, last=400)
    assert not same_samples(shard, other)


def test_a_rewound_shard_repeats_the_same_rows(new_shard, rows, tmp_path):
    first = new_shard(flush_rows=100)
    feed(first, rows, 0, 1000)
    at_checkpoint = [first.sample(32, seed).tokens for seed in range(5)]
    paid = first.stats().paid_rows
    feed(first, rows, 1000, 2000)
    first.flush()

    shard = new_shard()
    shard.rewind(1000)
    stats = shard.stats()
    assert (stats.rows, stats.recorded_later_rows, stats.paid_rows) == (1000, 1000, paid)
    for seed, tokens in enumerate(at_checkpoint):
        np.testing.assert_array_equal(shard.sample(32, seed).tokens, tokens)

    asked = ["new", *KEYS[1501:1510:3], KEYS[3], KEYS[1500], KEYS[1501]]
    claims = shard.claim("a", asked)
    assert [Claim(s).name for s in claims.state] == ["YOURS"] * 4 + ["KNOWN", "YOURS", "YOURS"]
    assert claims.already_scored_at.tolist() == [1, 2, 3, 5]
    assert claims.paid.keys == [KEYS[i] for i in (1501, 1504, 1507, 1500)]
    np.testing.assert_array_equal(claims.paid.rewards, rows.rewards[[1501, 1504, 1507, 1500]])
    assert shard.claim("b", asked[1:3]).state.tolist() == [Claim.BUSY, Claim.BUSY]
    assert shard.claim("b", asked[1:3]).paid is None
    shard.release("a", asked)

    # the same rows in the same order, already scored or scored anew: the record's rows count
    for at in range(1000, 2000, 50):
        keys = KEYS[at : at + 50]
        claims = shard.claim("a", keys)
        result = shard.add(claims.paid if at < 1500 else rows.select(range(at, at + 50)), "a")
        assert (result.added, result.paid, result.duplicates) == (50, 40, 0)
        assert result.durable == result.position
    assert shard.stats().recorded_later_rows == 0
    assert same_samples(shard, first)
    assert shard.stats().paid_rows == first.stats().paid_rows
    shard.flush()
    assert read_record(tmp_path).keys == KEYS[:2000]
    feed(shard, rows, 2000, 3000)
    shard.flush()
    assert read_record(tmp_path).keys == KEYS


def test_only_new_rows_are_written_after_a_rewind(new_shard, rows, tmp_path):
    first = new_shard()
    feed(first, rows, 0, 100)
    first.flush()
    shard = new_shard()
    shard.rewind(50)
    mixed = rows.select([300, 70, 301, 60, 10, 70])
    result = shard.add(mixed, "a")
    assert (result.added, result.duplicates, result.position, result.durable) == (4, 2, 4, 0)
    assert shard.stats().waiting_rows == 2
    shard.flush()
    assert read_record(tmp_path).keys == KEYS[:100] + [KEYS[300], KEYS[301]]
    assert shard._memory.find([KEYS[i] for i in (300, 70, 301, 60)]).tolist() == [50, 51, 52, 53]
    assert shard.stats().rows == 54


def test_a_rewind_counts_later_rows(new_shard, rows):
    shard = new_shard()
    feed(shard, rows, 0, 100)
    shard.rewind(30)
    assert (shard.stats().rows, shard.stats().recorded_later_rows) == (30, 70)
    shard.rewind(1000)  # all there is
    assert (shard.stats().rows, shard.stats().recorded_later_rows) == (100, 0)
    shard.rewind(0)
    assert (shard.stats().rows, shard.stats().recorded_later_rows) == (0, 100)
    claims = shard.claim("a", KEYS[:100])
    assert claims.paid.keys == KEYS[:100]
    with pytest.raises(ValueError, match="-1 rows"):
        shard.rewind(-1)


def test_step_rewards_survive_eviction_and_restart(new_shard, make_scored):
    shard = new_shard(memory_rows=40)
    batches = [make_scored(KEYS[:30], steps=True), make_scored(KEYS[30:200], seed=1)]
    for batch in batches:
        shard.add(batch)
    shard.flush()
    again = new_shard(memory_rows=40)
    assert same_samples(shard, again)
    everything = concatenate(batches)
    top = again.top(10)
    rows = [KEYS.index(key) for key in top.keys]
    np.testing.assert_array_equal(top.step_rewards.sum(1), everything.step_rewards[rows].sum(1))


def test_a_part_without_scores_raises_with_its_name(new_shard, rows, tmp_path):
    name = "part-00000000-0000-of-0001-00000000.parquet"
    table = to_table(rows).append_column("reward_id", pa.array([""] * len(rows)))
    status = pa.array(["splendid"] * len(table))
    for broken in (
        table.drop_columns(["reward"]),
        table.drop_columns(["sequence"]),
        table.set_column(table.column_names.index("status"), "status", status),
    ):
        pq.write_table(broken, tmp_path / name)
        with pytest.raises(RecordError, match=name):
            new_shard()
    pq.write_table(table, tmp_path / name)
    assert new_shard(sampler=UniformSampler()).stats().rows == 3000
