"""Parts on disk: whole, in order, never overwritten."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from records import read_record

from sequence_tutor.distributed.arrow_schema import from_table, to_table
from sequence_tutor.distributed.replay.record.writer import (
    RETRY_S,
    WRITE_PATIENCE_S,
    RecordError,
    RecordWriter,
    read_table,
    shard_of,
)
from sequence_tutor.distributed.types import concatenate, per_step
from sequence_tutor.rewards.base import Status

KEYS = [f"key {i}" for i in range(20)]


def parts(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


@pytest.mark.parametrize("steps", [False, True])
def test_scored_round_trips_through_a_table(make_scored, assert_same, steps):
    status = [Status(i % 5) for i in range(20)]
    scored = make_scored(KEYS, status=status, steps=steps)
    assert_same(from_table(to_table(scored)), scored)
    # a slice of a table has offsets that don't start at zero
    assert_same(from_table(to_table(scored).slice(7, 5)), scored.select(range(7, 12)))
    assert_same(from_table(to_table(scored.select([]))), scored.select([]))


def test_concatenate_fills_missing_columns(make_scored):
    paid, failed = make_scored(["a", "b"], steps=True), make_scored(["c", "d"], seed=1)
    failed.raw.clear()
    both = concatenate([failed, paid])
    assert np.isnan(both.raw["qed"][:2]).all() and not np.isnan(both.raw["qed"][2:]).any()
    np.testing.assert_allclose(both.step_rewards[:2].sum(1), failed.rewards, rtol=1e-6)
    assert per_step(failed)[0, failed.lengths[0] - 1] == np.float32(failed.rewards[0])


def test_rows_read_back_in_writing_order_after_a_restart(tmp_path, make_scored, assert_same):
    scored = make_scored(KEYS)
    for rows in (range(8), range(8, 9), range(9, 20)):
        writer = RecordWriter(tmp_path, 0)  # a restart each time
        writer.append(scored.select(rows))
        writer.flush()
        writer.flush()  # nothing waits: no empty part
    assert len(parts(tmp_path)) == 3
    assert_same(read_record(tmp_path), scored)
    assert_same(from_table(read_table(tmp_path)), scored)


def test_writers_of_the_same_shard_never_overwrite(tmp_path, make_scored):
    dead, alive = RecordWriter(tmp_path, 0), RecordWriter(tmp_path, 0)
    for writer, key in ((alive, "a"), (dead, "b"), (alive, "c")):
        writer.append(make_scored([key]))
        writer.flush()
    assert sorted(read_record(tmp_path).keys) == ["a", "b", "c"]


def test_the_writer_flushes_after_rows_or_seconds(tmp_path, make_scored):
    now = 0.0
    writer = RecordWriter(tmp_path, 0, flush_rows=10, flush_seconds=5.0, clock=lambda: now)
    writer.append(make_scored(KEYS[:9]))
    now = 4.9
    writer.flush_if_due()
    assert (len(parts(tmp_path)), writer.waiting) == (0, 9)
    now = 5.0
    writer.flush_if_due()
    assert (len(parts(tmp_path)), writer.waiting) == (1, 0)
    now = 100.0  # the clock starts with the first row, not with the last flush
    writer.append(make_scored(KEYS[:9]))
    assert len(parts(tmp_path)) == 1
    writer.append(make_scored(KEYS[9:10]))
    assert (len(parts(tmp_path)), writer.waiting) == (2, 0)


@pytest.mark.parametrize("content", [b"", b"PAR1 and then nothing", None])
def test_a_broken_part_raises_with_its_name(tmp_path, make_scored, content):
    writer = RecordWriter(tmp_path, 0)
    writer.append(make_scored(KEYS))
    writer.flush()
    (name,) = parts(tmp_path)
    if content is None:
        pq.write_table(pa.table({"something": [1]}), tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordError, match=name):
        read_record(tmp_path)


def test_a_missing_directory_is_an_error_not_an_empty_record(tmp_path):
    assert read_record(tmp_path) is None
    with pytest.raises(RecordError, match="nowhere"):
        RecordWriter(tmp_path / "nowhere", 0)
    with pytest.raises(RecordError, match="nowhere"):
        read_record(tmp_path / "nowhere")


def test_a_changed_number_of_shards_finds_all_rows(tmp_path, make_scored):
    for shard in range(2):
        writer = RecordWriter(tmp_path, shard, 2)
        writer.append(make_scored([k for k in KEYS if shard_of(k, 2) == shard]))
        writer.flush()
    for shards in (1, 2, 3):
        held = [read_record(tmp_path, shard, shards).keys for shard in range(shards)]
        assert sorted(k for keys in held for k in keys) == sorted(KEYS)
        assert all(shard_of(k, shards) == s for s, keys in enumerate(held) for k in keys)


def test_shard_of_is_the_same_in_every_release():
    assert [shard_of(k, 7) for k in ("", "CCO", "c1ccccc1", "ß")] == [5, 3, 3, 4]
    counts = np.bincount([shard_of(f"k{i}", 4) for i in range(4000)], minlength=4)
    assert counts.min() > 900


def test_rows_are_read_by_their_reward(tmp_path, make_scored, assert_same):
    for reward, rows in (("qed", range(0, 12)), ("logp", range(5, 20))):
        writer = RecordWriter(tmp_path, 0, reward_id=reward)
        writer.append(make_scored([KEYS[i] for i in rows]))
        writer.flush()
    assert_same(read_record(tmp_path, reward_id="qed"), make_scored(KEYS[:12]))
    assert read_record(tmp_path, reward_id="logp").keys == KEYS[5:]
    assert read_record(tmp_path, reward_id="") is None
    assert read_record(tmp_path, 1, 2, "qed").keys == [k for k in KEYS[:12] if shard_of(k, 2) == 1]
    assert len(read_record(tmp_path)) == 27
    column = read_table(tmp_path).column("reward_id")
    assert pa.types.is_dictionary(column.type)
    assert column.to_pylist() == ["qed"] * 12 + ["logp"] * 15


def test_a_part_without_reward_ids_raises(tmp_path, make_scored):
    writer = RecordWriter(tmp_path, 0, reward_id="qed")
    writer.append(make_scored(KEYS[:5]))
    writer.flush()
    [path] = tmp_path.glob("*.parquet")
    pq.write_table(pq.read_table(path).drop_columns(["reward_id"]), path)
    with pytest.raises(RecordError, match="isn't a table of scores: .*reward_id"):
        read_record(tmp_path, reward_id="qed")


def test_a_failing_bucket_is_retried_then_raises(s3, make_scored):
    place, clock = s3.bucket("fails-for-a-while"), [0.0]
    writer = RecordWriter(place, 0, flush_rows=1, clock=lambda: clock[0])
    s3.refuses = lambda request: request.startswith("PUT")
    s3.requests.clear()
    writer.append(make_scored(["a"]))
    writer.append(make_scored(["b"]))  # too soon for another attempt
    assert writer.waiting == 2 and len(s3.requests) == 1
    with pytest.raises(OSError, match="can't write s3://fails-for-a-while/part-"):
        writer.flush()  # an explicit flush raises at once
    for clock[0] in np.arange(0.0, WRITE_PATIENCE_S, RETRY_S):
        writer.flush_if_due()
    clock[0] = WRITE_PATIENCE_S + RETRY_S
    with pytest.raises(OSError, match="ACCESS_DENIED"):
        writer.flush_if_due()
    s3.refuses = lambda request: False
    clock[0] += RETRY_S
    writer.flush_if_due()
    assert writer.waiting == 0 and read_record(place).keys == ["a", "b"]
