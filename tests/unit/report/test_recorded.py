"""Mean rewards of the first, the last and the best sequences, read from the record."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sequence_tutor.distributed.replay.messages import REPORT, WARM_START
from sequence_tutor.distributed.replay.record.writer import RecordError, RecordWriter
from sequence_tutor.distributed.report import recorded
from sequence_tutor.distributed.report.recorded import read_rewards
from sequence_tutor.distributed.types import Scored
from sequence_tutor.rewards.base import Status


def written(place: Path, scored: Scored, source: str, shard: int = 0, reward: str = "q") -> None:
    scored.sources[:] = [source] * len(scored)
    writer = RecordWriter(place, shard, 2, reward_id=reward)
    writer.append(scored)
    writer.flush()


def test_rows_are_ordered_by_scoring_time_across_parts(
    tmp_path: Path, make_scored: Callable[..., Scored], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(recorded, "ENDS", 10)
    monkeypatch.setattr(recorded, "BEST", 3)
    random = np.random.default_rng(0)
    order = random.permutation(60)
    rewards = random.normal(size=60)
    for part in range(6):
        at = order[10 * part : 10 * part + 10]
        scored = make_scored([f"k{i}" for i in at], rewards=rewards[at].tolist())
        scored.scored_at[:] = at
        scored.raw["size"][:] = at
        if part % 2:  # a component that some parts lack
            del scored.raw["qed"]
        written(tmp_path, scored, "policy", shard=part % 2)
    known = make_scored(["w"], rewards=[1e6])
    known.scored_at[:] = -1
    written(tmp_path, known, WARM_START)
    written(tmp_path, make_scored(["r"], rewards=[1e6]), REPORT)
    written(tmp_path, make_scored(["i"], rewards=[1e6], status=[Status.INVALID]), "policy")
    failed = make_scored(["f"], status=[Status.FAILED])
    failed.seconds[:] = 1000.0
    written(tmp_path, failed, "policy")
    written(tmp_path, make_scored(["k1"], rewards=[1e6]), "policy", reward="another")

    found = read_rewards(tmp_path, "q")
    assert list(found.columns) == ["first 10 scored", "last 10 scored", "best 3"]
    first, last, best = found.columns.values()
    assert first["reward"] == pytest.approx(rewards[:10].mean())
    assert last["reward"] == pytest.approx(rewards[50:].mean())
    assert best["reward"] == pytest.approx(np.sort(rewards)[-3:].mean())
    assert (first["reward: size"], last["reward: size"]) == (4.5, 54.5)
    assert 0 < first["reward: qed"] < 1
    assert found.seconds_per_score > 1000 / 61  # the seconds of a failure count


def test_halves_of_few_rows_do_not_overlap(tmp_path: Path, make_scored: Callable[..., Scored]):
    scored = make_scored("abcde", rewards=[1.0, 2.0, 3.0, 4.0, 5.0])
    scored.scored_at[:] = 7.0
    written(tmp_path, scored, "policy")
    columns = read_rewards(tmp_path, "q").columns
    assert [c["reward"] for c in columns.values()] == [1.5, 4.5, 3.0]
    assert list(columns) == ["first 2 scored", "last 2 scored", "best 5"]


def test_an_empty_record_has_no_columns_and_a_missing_one_raises(tmp_path: Path):
    found = read_rewards(tmp_path, "q")
    assert found.columns == {} and np.isnan(found.seconds_per_score)
    with pytest.raises(RecordError, match="nowhere"):
        read_rewards(tmp_path / "nowhere", "q")
