"""Pareto ranks of rows, on any number of shards and after restarts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shards import client_of, open_shard, worth

from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.replay.memory.key_index import digests
from sequence_tutor.distributed.replay.shard import ReplayShard
from sequence_tutor.distributed.replay.shard_calls import LocalShardCalls
from sequence_tutor.distributed.replay.worth import ranks
from sequence_tutor.distributed.replay.worth.ranks import ParetoRule
from sequence_tutor.distributed.replay.worth.worth import WorthRules
from sequence_tutor.distributed.types import Scored
from sequence_tutor.rewards import pareto
from sequence_tutor.rewards.aggregate import Aggregate
from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.pareto import crowding, dominated_by, rank_rewards

RULE = ParetoRule(("a", "b"), Aggregate("pareto", np.ones(2), np.zeros(2, bool)))
KEYS = [f"key {i}" for i in range(150)]


@pytest.fixture
def many(make_scored: Callable[..., Scored]) -> Scored:
    """150 rows with two values each, some equal, and some invalid or failed."""
    random = np.random.default_rng(0)
    status = [
        Status.INVALID if i % 19 == 0 else Status(2) if i % 23 == 0 else 0 for i in range(150)
    ]
    values = random.integers(0, 40, (150, 2)) / 40
    rows = make_scored(KEYS, rewards=values.mean(1).tolist(), status=status)
    ok = (rows.status == Status.OK)[:, None]
    known = np.where(ok, values, np.nan)
    return replace(rows, transformed={"a": known[:, 0].copy(), "b": known[:, 1].copy()})


@pytest.fixture(params=[256, 6], ids=["all ranks", "truncated"])
def most(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    for module in (ranks, pareto):
        monkeypatch.setattr(module, "MOST", request.param)
    return request.param  # type: ignore[no-any-return]


def shards_of(place: Path, count: int, **options: object) -> list[ReplayShard]:
    place.mkdir(exist_ok=True)
    rules = WorthRules(pareto=RULE)
    return [open_shard(place, i, count, worth=rules, **options) for i in range(count)]


def expected(rows: Scored) -> dict[str, float]:
    """From all rows at once, in the order of their digests."""
    ok = np.flatnonzero(rows.status == Status.OK)
    ok = ok[np.argsort(digests([rows.keys[i] for i in ok])[:, 0])]
    values = np.stack([rows.transformed["a"][ok], rows.transformed["b"][ok]], axis=1)
    counts = dominated_by(values, values)
    crowded = np.zeros(len(ok))
    for count in set(counts.tolist()):
        crowded[counts == count] = crowding(values[counts == count])
    found = rank_rewards(counts, crowded)
    return {rows.keys[i]: value for i, value in zip(ok.tolist(), found.tolist(), strict=True)}


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_rows_on_record_decide_and_not_their_shards(
    tmp_path: Path, many: Scored, count: int, most: int
):
    orders = [np.arange(150), np.random.default_rng(count).permutation(150)]
    for number, order in enumerate(orders):
        replay = client_of(shards_of(tmp_path / str(number), count))
        for first in range(0, 150, 30):
            replay.add(many.select(order[first : first + 30]))
            if first % 60 == number * 30:
                replay.share()
        replay.share()
        found = worth(replay)
        assert found == expected(many)
        assert max(found.values()) == 1 and len(set(found.values())) > 15
        assert (min(found.values()) == 0) is (most < 100)
        replay.flush()
        again = client_of(shards_of(tmp_path / str(number), count))
        again.share()
        assert worth(again) == found


def test_a_restarted_shard_is_told_anew(tmp_path: Path, many: Scored, most: int):
    shards = shards_of(tmp_path / "record", 3, flush_rows=1000)
    calls = LocalShardCalls(shards)
    replay = ReplayClient(calls)
    replay.add(many.select(range(100)))
    shards[1].flush()
    replay.add(many.select(range(100, 150)))
    replay.share()
    whole = worth(replay)
    calls._shards[1] = shards_of(tmp_path / "record", 3)[1]
    replay.share()
    assert worth(replay) != whole  # control: rows of the shard are missing
    replay.add(many)
    replay.share()
    assert worth(replay) == whole == expected(many)


def test_training_sees_ranks_and_the_record_means(tmp_path: Path, many: Scored):
    """Invalid rows keep their reward; of rows without components, as of a warm start from a table,
    nothing is learned."""
    (shard,) = shards_of(tmp_path / "record", 1)
    bare = replace(
        many.select([1, 2]),
        keys=["bare 1", "bare 2"],
        transformed={name: np.full(2, math.nan) for name in "ab"},
    )
    rows = many.select(range(3, 150))
    for batch in (rows, bare):
        shard.add(
            replace(
                batch,
                tokens=np.arange(1, 1 + len(batch), dtype=np.int16)[:, None] + len(shard._memory),
                lengths=np.ones(len(batch), np.int32),
            )
        )
    batch = shard.sample(3000, seed=0)
    seen = dict(zip(batch.tokens[:, 0].tolist(), batch.rewards[:, 0].tolist(), strict=True))
    lowest = expected(rows)
    for number, key in enumerate([*rows.keys, *bare.keys], start=1):
        row = rows.keys.index(key) if key in rows.keys else None
        if row is None:
            assert number not in seen
        elif rows.status[row] == Status.OK:
            assert seen[number] == pytest.approx(lowest[key])
        elif rows.status[row] == Status.INVALID:
            assert seen[number] == pytest.approx(rows.rewards[row])
    known = shard.claim("test", rows.keys).known
    np.testing.assert_array_equal(known.rewards, rows.rewards)
    assert shard.top(1).rewards[0] == rows.rewards[rows.status == Status.OK].max()


def test_filtered_rows_are_worth_nothing(tmp_path: Path, make_scored: Callable[..., Scored]):
    aggregate = Aggregate("pareto", np.ones(3), np.array([False, False, True]))
    rule = WorthRules(pareto=ParetoRule(("a", "b", "filter"), aggregate))
    rows = make_scored(["x", "y", "z"], rewards=[0.5, 0.0, 0.5])
    nan = math.nan
    columns = {"a": [0.9, nan, 0.1], "b": [0.1, nan, 0.9], "filter": [1.0, 0.0, 1.0]}
    rows = replace(rows, transformed={k: np.array(v) for k, v in columns.items()})
    shard = open_shard(tmp_path, worth=rule)
    shard.add(rows)
    view = shard.view(3, 0)
    found = dict(zip(view.keys, view.rewards.tolist(), strict=True))
    assert found["x"] > 0.8 and found["z"] > 0.8
    assert found["y"] == pytest.approx(1 - math.log(3) / math.log(pareto.MOST + 1))
