"""What `[diversity]` makes of rewards, on any number of shards and after restarts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow.parquet as pq
import pytest
from records import rows_on_record
from shards import client_of, open_shard, worth

from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.replay.memory.key_index import digests
from sequence_tutor.distributed.replay.sampler import RankSampler
from sequence_tutor.distributed.replay.shard import ReplayShard
from sequence_tutor.distributed.replay.shard_calls import LocalShardCalls
from sequence_tutor.distributed.replay.worth.diversity import Diversity
from sequence_tutor.distributed.replay.worth.worth import WorthRules
from sequence_tutor.distributed.types import Scored, concatenate
from sequence_tutor.rewards.base import Domain, Identity, Status
from sequence_tutor.rewards.buckets import BucketRule, Grouping, Leaders, factors


class Numbered(Domain):
    """Sequences such as "7 of 123": their group is the first number; near numbers are similar."""

    name, encoding, example = "numbered", None, "7 of 1"
    groupings: ClassVar = {"equal": Grouping("a"), "near": Grouping("b", similar=True)}
    asked: ClassVar[list[str]] = []

    def identify(self, sequence: str) -> Identity:
        return Identity(sequence)

    def group(self, key: str, kind: str) -> str:
        self.asked.append(key)
        return key.split()[0]

    def compare(self, kind: str) -> Callable[[str, Sequence[str]], np.ndarray]:
        return lambda one, others: np.array([1 / (1 + abs(int(one) - int(n))) for n in others])


KINDS = {"equal": None, "near": 0.3}
RULE = BucketRule(4, 0.4, 0.0)


def diversity(kind: str = "equal", rule: BucketRule = RULE) -> Diversity:
    return Diversity(kind, rule, KINDS[kind], Numbered())


@pytest.fixture
def many(make_scored: Callable[..., Scored]) -> Scored:
    """200 rows of 20 groups, of which some are invalid or failed, and some rewards are equal."""
    random = np.random.default_rng(0)
    keys = [f"{random.integers(20)} of {i}" for i in range(200)]
    status = [
        Status.INVALID if i % 17 == 0 else Status(2) if i % 23 == 0 else 0 for i in range(200)
    ]
    return make_scored(keys, rewards=np.round(random.random(200), 1).tolist(), status=status)


def expected(rows: Scored, how: Diversity) -> dict[str, float]:
    """By key: the factor of each row, from all rows at once, the best first."""
    order = np.lexsort((digests(rows.keys)[:, 0], -rows.rewards))
    order = order[rows.status[order] == Status.OK]
    order = order[rows.rewards[order] >= how.rule.min_score]
    groups = [rows.keys[i].split()[0] for i in order]
    if how.least is None:
        buckets = np.array([int(group) for group in groups])
    else:
        buckets = Leaders(how.domain.compare("near"), how.least).buckets(groups)
    found = dict.fromkeys(rows.keys, 1.0)
    values = factors(rows.rewards[order], buckets, how.rule)
    found |= {rows.keys[i]: value for i, value in zip(order, values.tolist(), strict=True)}
    return found


def shards_of(
    place: Path, count: int, how: Diversity | None, **options: object
) -> list[ReplayShard]:
    place.mkdir(exist_ok=True)
    return [open_shard(place, i, count, worth=WorthRules(how), **options) for i in range(count)]


def recorded(rows: Scored) -> dict[str, float]:
    ok = np.flatnonzero(rows.status == Status.OK)
    return {rows.keys[i]: float(rows.rewards[i]) for i in ok}


def products(rows: Scored, how: Diversity) -> dict[str, float]:
    lowered = expected(rows, how)
    return {key: reward * lowered[key] for key, reward in recorded(rows).items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_rows_on_record_decide_and_not_their_shards(
    tmp_path: Path, many: Scored, kind: str, count: int
):
    """Nor their order, nor how often shards tell each other of their rows."""
    how = diversity(kind)
    orders = [np.arange(200), np.random.default_rng(count).permutation(200)]
    for number, order in enumerate(orders):
        replay = client_of(shards_of(tmp_path / str(number), count, how))
        for first in range(0, 200, 40):
            replay.add(many.select(order[first : first + 40]))
            if first % 80 == number * 40:
                replay.share()
        replay.share()
        found = worth(replay)
        assert found == products(many, how)
        assert 20 < sum(value == 0 for value in found.values()) < len(found) - 50
        stats = replay.stats()
        lowered = [key for key, value in expected(many, how).items() if value < 1]
        assert sum(s.lowered_rows for s in stats) == len(lowered)
        assert {s.groups for s in stats} == {len({k.split()[0] for k in many.keys})}
        view = replay.view(30, 0)
        assert np.array_equal(view.rewards, np.sort(list(found.values()))[::-1][:30])
        assert view.factors is not None and (view.factors[view.rewards > 0] == 1).all()


def test_control_shards_that_are_not_told_lower_less(tmp_path: Path, many: Scored):
    shards = shards_of(tmp_path / "record", 5, diversity())
    calls = LocalShardCalls(shards)
    ReplayClient(calls).add(many)
    alone = sum(shard.stats().lowered_rows for shard in shards)
    ReplayClient(calls).share()
    assert 0 <= alone < sum(shard.stats().lowered_rows for shard in shards)


def test_rewards_on_record_stay_as_they_are(tmp_path: Path, many: Scored):
    shards = shards_of(tmp_path / "record", 2, diversity())
    replay = client_of(shards)
    replay.add(many)
    replay.share()
    assert sum(shard.stats().lowered_rows for shard in shards) > 20
    for shard in shards:
        shard.flush()
        keys = [key for key in many.keys if shard.known([key])[0]]
        known = shard.claim("test", keys).known
        want = many.rewards[[many.keys.index(key) for key in keys]]
        np.testing.assert_array_equal(known.rewards, want)
    rows = rows_on_record(tmp_path / "record")
    assert recorded(rows) == recorded(many)
    top = replay.top(50)
    np.testing.assert_array_equal(top.rewards, np.sort(list(recorded(many).values()))[::-1][:50])


@pytest.mark.parametrize("steps", [False, True])
def test_training_sees_the_lowered_rewards(
    tmp_path: Path, make_scored: Callable[..., Scored], steps: bool
):
    """Of each step too; and the rank by which rows are drawn is that of the lowered rewards."""
    rule = BucketRule(2, 0.4, 0.25)
    keys = [f"1 of {i}" for i in range(6)] + ["2 of 0"]
    rows = make_scored(keys, [0.9, 0.8, 0.7, 0.6, 0.5, 0.3, 0.6], steps=steps)
    names = np.arange(1, 8, dtype=np.int16)
    rows = replace(rows, tokens=names[:, None].copy(), lengths=np.ones(7, np.int32))
    if steps:
        rows = replace(rows, step_rewards=rows.rewards[:, None].astype(np.float32))
    lowered = [0.9, 0.8, 0.175, 0.15, 0.125, 0.3, 0.6]
    (shard,) = shards_of(tmp_path / "record", 1, diversity(rule=rule))
    shard.add(rows)
    batch = shard.sample(400, seed=0)
    seen = dict(zip(batch.tokens[:, 0].tolist(), batch.rewards[:, 0].tolist(), strict=True))
    assert seen == {i + 1: pytest.approx(reward) for i, reward in enumerate(lowered)}
    (best,) = shards_of(tmp_path / "other", 1, diversity(rule=rule), sampler=RankSampler(4))
    best.add(rows)
    assert set(best.sample(400, seed=0).tokens[:, 0].tolist()) == {1, 2, 7, 6}


def test_invalid_rows_are_worth_no_more_than_lowered_ones(
    tmp_path: Path, make_scored: Callable[..., Scored]
):
    """An invalid row without a reward of its own gets the worst of a valid one."""
    rows = make_scored(
        ["1 of 1", "1 of 2", "bad"],
        [0.9, 0.8, math.nan],
        [Status.OK, Status.OK, Status.INVALID],
    )
    rows = replace(rows, tokens=np.array([[1], [2], [3]], np.int16), lengths=np.ones(3, np.int32))
    for how, worst in ((diversity(rule=BucketRule(1, 0.4, 0.0)), 0.0), (None, 0.8)):
        (shard,) = shards_of(tmp_path / str(worst), 1, how)
        shard.add(rows)
        batch = shard.sample(60, seed=0)
        assert batch.rewards[batch.tokens[:, 0] == 3, 0].min() == pytest.approx(worst)


def test_a_restarted_shard_is_told_anew(tmp_path: Path, many: Scored):
    """Rows of it that weren't on record come again, and the others know them once."""
    how = diversity()
    shards = shards_of(tmp_path / "record", 3, how, flush_rows=1000)
    calls = LocalShardCalls(shards)
    replay = ReplayClient(calls)
    replay.add(many.select(range(150)))
    shards[1].flush()
    replay.add(many.select(range(150, 200)))
    replay.share()
    whole = worth(replay)
    calls._shards[1] = open_shard(tmp_path / "record", 1, 3, worth=WorthRules(how))
    replay.share()
    assert worth(replay) != whole  # control: rows of the shard are missing
    replay.add(many)
    replay.share()
    assert worth(replay) == whole == products(many, how)
    assert client_of(shards).stats()[0].groups == 20


def test_a_rewound_record_counts_its_first_rows(tmp_path: Path, many: Scored):
    """Later rows count when they are added again, as a resumed run does."""
    how, first = diversity(), many.select(range(120))
    replay = client_of(shards_of(tmp_path / "record", 2, how))
    replay.add(first)
    live = [s.rows for s in replay.stats()]
    replay.add(many.select(range(120, 200)))
    replay.flush()
    replay.share()
    assert worth(replay) == products(many, how)
    again = client_of(shards_of(tmp_path / "record", 2, how))
    again.rewind(live)
    again.share()
    assert worth(again) == products(first, how)
    again.add(many.select(range(120, 200)))
    again.share()
    assert worth(again) == products(many, how)


@pytest.mark.parametrize("on_record", ["equal", "near", ""])
def test_groups_are_read_from_the_record_or_found_anew(
    tmp_path: Path, many: Scored, on_record: str
):
    """Whatever kind of group the record has: also a run without `[diversity]` can go on with it."""
    place = tmp_path / "record"
    place.mkdir()
    how = diversity("near")
    before = open_shard(place)
    groups = np.array([key.split()[0] for key in many.keys], object)
    groups[many.status != Status.OK] = None
    rows = replace(many, groups={on_record: groups} if on_record else {})
    before.add(rows.select(range(100)))
    before.flush()
    before.add(many.select(range(100, 200)))
    before.flush()
    tables = [pq.read_table(path) for path in sorted(place.glob("*.parquet"))]
    assert [f"group.{on_record}" in table.column_names for table in tables] == [
        bool(on_record),
        False,
    ]
    Numbered.asked.clear()
    replay = client_of([open_shard(place, worth=WorthRules(how))])
    assert worth(replay) == products(many, how)
    taking = [k for k, reward in recorded(many).items() if reward >= how.rule.min_score]
    own = {key for key in many.keys[:100]} if on_record == "near" else set()
    assert sorted(Numbered.asked) == sorted(set(taking) - own)


def test_batches_with_and_without_groups_are_joined(many: Scored):
    one, two = many.select([0, 1]), many.select([2])
    one = replace(one, groups={"equal": np.array(["7", None], object)})
    assert concatenate([one, two]).groups["equal"].tolist() == ["7", None, None]
    assert concatenate([two, one]).select([1]).groups["equal"].tolist() == ["7"]


def test_a_shard_may_restart_twice_before_it_has_rows(tmp_path: Path, many: Scored):
    shards = shards_of(tmp_path / "record", 2, diversity(), flush_rows=1000)
    calls = LocalShardCalls(shards)
    replay = ReplayClient(calls)
    replay.add(many)
    replay.share()
    whole = worth(replay)
    for _ in range(2):
        (calls._shards[0],) = [open_shard(tmp_path / "record", 0, 2, worth=WorthRules(diversity()))]
        replay.share()
        assert worth(replay) != whole
    replay.add(many)
    replay.share()
    assert worth(replay) == whole
