"""Void failures: a reloaded shard doesn't know them, so that they are scored again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records import read_record
from shards import open_shard

from sequence_tutor.distributed.replay.claims import LOST
from sequence_tutor.distributed.replay.messages import FREE_SOURCES, REPORT, Claim
from sequence_tutor.distributed.replay.record.alone import RecordAlone
from sequence_tutor.distributed.replay.record.retried import Retried, read_retried, retry
from sequence_tutor.distributed.replay.record.store import PartStore
from sequence_tutor.distributed.replay.record.writer import RecordError, RecordWriter
from sequence_tutor.distributed.replay.shard import ReplayShard
from sequence_tutor.distributed.types import Scored
from sequence_tutor.rewards.base import Status

OK, INVALID, CRASHED, FAILED = Status.OK, Status.INVALID, Status.CRASHED, Status.FAILED
MakeScored = Callable[..., Scored]


def written(place: Path, scored: Scored, reward_id: str = "qed", source: str = "policy") -> None:
    scored.sources[:] = [source] * len(scored)
    writer = RecordWriter(place, 0, reward_id=reward_id)
    writer.append(scored)
    writer.flush()


def shard(place: Path, reward_id: str = "qed") -> ReplayShard:
    return open_shard(place, reward_id=reward_id, flush_rows=1)


def void_failures(place: Path, failures: bool, reward_id: str = "qed") -> int:
    return retry(PartStore(place), reward_id, failures)


def states(shard: ReplayShard, keys: str) -> str:
    """A letter for each key: known or yours."""
    return "".join("ky"[state] for state in shard.claim("me", list(keys)).state)


def test_only_the_requested_failures_are_void(tmp_path: Path, make_scored: MakeScored):
    scored = make_scored("abcd", status=[OK, FAILED, INVALID, CRASHED])
    scored.errors[3] = f"{LOST}3 scorers were lost while they had it"
    written(tmp_path, scored)
    before = shard(tmp_path).stats()
    assert (before.rows, before.failed_rows, before.paid_rows, before.void_rows) == (4, 2, 3, 0)
    assert states(shard(tmp_path), "abcd") == "kkkk"

    assert (
        void_failures(tmp_path, failures=False) == 0
    )  # every resume voids only those that lost scorers
    assert read_retried(PartStore(tmp_path), "qed") == Retried(0, 1)
    after = shard(tmp_path)
    stats = after.stats()
    assert (stats.rows, stats.failed_rows, stats.paid_rows, stats.void_rows) == (3, 1, 2, 1)
    assert states(after, "abcd") == "kkky"

    assert void_failures(tmp_path, failures=True) == 1
    stats = shard(tmp_path).stats()
    assert (stats.rows, stats.failed_rows, stats.paid_rows, stats.void_rows) == (2, 0, 1, 2)
    assert states(shard(tmp_path), "abcd") == "kyky"
    # invalid and valid ones are never void, and nothing was taken from the record
    record = read_record(tmp_path)
    assert record is not None and record.keys == list("abcd")


def test_later_rows_count_and_later_failures_are_known(tmp_path: Path, make_scored: MakeScored):
    written(tmp_path, make_scored("abc", status=[OK, FAILED, FAILED]))
    assert void_failures(tmp_path, failures=True) == 2
    again = shard(tmp_path)
    assert again.add(make_scored("bc", rewards=[5.0, 0.0], status=[OK, FAILED])).added == 2
    again.flush()
    for reloaded in (shard(tmp_path), again):
        known = reloaded.claim("me", list("abc"))
        assert known.state.tolist() == [Claim.KNOWN] * 3
        assert known.known.status.tolist() == [OK, OK, FAILED] and known.known.rewards[1] == 5.0
        stats = reloaded.stats()
        assert (stats.rows, stats.paid_rows, stats.failed_rows) == (3, 3, 1)
    alone = RecordAlone(tmp_path, "qed")
    alone.look_up("abcd")
    assert alone.claim(list("abcd")).state.tolist() == [Claim.KNOWN] * 3 + [Claim.YOURS]
    assert alone.claim(["b"]).known.rewards.tolist() == [5.0]
    assert (
        void_failures(tmp_path, failures=False) == 0
    )  # the reward has worked: a plain resume keeps its failures
    assert shard(tmp_path).stats().failed_rows == 1
    assert void_failures(tmp_path, failures=True) == 1  # rows void already aren't counted again
    assert states(shard(tmp_path), "abc") == "kky"


def test_failures_of_a_reward_that_never_worked_are_void(tmp_path: Path, make_scored: MakeScored):
    written(tmp_path, make_scored("ab", status=[OK, OK]), source=FREE_SOURCES[0])
    written(tmp_path, make_scored("cde", status=[FAILED, INVALID, CRASHED]))
    assert void_failures(tmp_path, failures=False) == 2
    assert states(shard(tmp_path), "abcde") == "kkyky"
    assert shard(tmp_path).stats().paid_rows == 0


def test_rewards_in_one_directory_have_separate_marks(tmp_path: Path, make_scored: MakeScored):
    written(tmp_path, make_scored("ab", status=[OK, FAILED]), "qed")
    written(tmp_path, make_scored("ab", status=[OK, FAILED]), "logp")
    assert void_failures(tmp_path, failures=True, reward_id="logp") == 1
    assert states(shard(tmp_path, "logp"), "ab") == "ky"
    assert states(shard(tmp_path, "qed"), "ab") == "kk"
    assert void_failures(tmp_path, failures=True, reward_id="qed") == 1
    assert states(shard(tmp_path, "logp"), "ab") == "ky"


def test_void_rows_count_in_a_rewind(tmp_path: Path, make_scored: MakeScored):
    written(tmp_path, make_scored("abcdef", status=[OK, FAILED, OK, OK, FAILED, OK]))
    void_failures(tmp_path, failures=True)
    for live in range(7):
        again = shard(tmp_path)
        again.rewind(live)
        stats = again.stats()
        kept = [key for key in "abcdef"[:live] if key not in "be"]
        assert (stats.rows, stats.void_rows) == (len(kept), 2)
        assert stats.recorded_later_rows == 4 - len(kept)
        assert again.claim("me", list("acdf")).already_scored_at.tolist() == list(
            range(len(kept), 4)
        )


def test_report_rows_are_known_unpaid_and_survive_a_rewind(tmp_path: Path, make_scored: MakeScored):
    written(tmp_path, make_scored("ab"))
    written(tmp_path, make_scored("c"), source=REPORT)
    written(tmp_path, make_scored("de"))
    again = shard(tmp_path)
    assert states(again, "abcde") == "kkkkk" and again.stats().paid_rows == 4
    again.rewind(2)  # hides the rows after a checkpoint, except those of a report
    stats = again.stats()
    assert (stats.rows, stats.paid_rows, stats.recorded_later_rows) == (3, 2, 2)
    assert states(again, "abc") == "kkk"
    again.rewind(4)
    assert again.stats().recorded_later_rows == 1


@pytest.mark.parametrize("content", ["{", "[]", '{"failed_before": "x"}', '{"other": 1}'])
def test_a_broken_marks_file_raises_with_its_name(tmp_path: Path, content: str):
    (tmp_path / "_retried-qed.json").write_text(content)
    with pytest.raises(RecordError, match="_retried-qed.json can't be read.*remove it"):
        shard(tmp_path)
    shard(tmp_path, "logp")


def test_other_readers_see_only_parts(tmp_path: Path, make_scored: Any):
    import pyarrow.dataset as ds

    written(tmp_path, make_scored("ab", status=[OK, FAILED]))
    void_failures(tmp_path, failures=True)
    assert (tmp_path / "_retried-qed.json").is_file()
    table = ds.dataset(tmp_path, format="parquet").to_table(columns=["key", "status"])
    assert table.column("key").to_pylist() == ["a", "b"]


def test_void_rows_are_not_in_memory(tmp_path: Path, make_scored: MakeScored):
    written(tmp_path, make_scored("abc", status=[FAILED, FAILED, OK], rewards=[0, 0, 2]))
    void_failures(tmp_path, failures=True)
    again = shard(tmp_path)
    assert again.top(5).keys == ["c"] and np.allclose(again.top(5).rewards, 2)
