"""What proposers and the screen see of the record, over several shards."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from searching import open_replay

from sequence_tutor.distributed.replay.messages import RecordView, join_views
from sequence_tutor.distributed.types import Scored
from sequence_tutor.rewards.base import Status

KEYS = [f"key {i}" for i in range(60)]


def rewards_of(seed: int) -> list[float]:
    return np.random.default_rng(seed).permutation(60).astype(float).tolist()


@pytest.mark.parametrize("shards", [1, 2, 5])
@pytest.mark.parametrize(("best", "newest"), [(10, 0), (0, 12), (10, 12), (1, 1), (99, 99)])
def test_a_view_has_the_best_and_the_newest_rows(
    tmp_path: Path, make_scored: Callable[..., Scored], shards: int, best: int, newest: int
):
    replay, rewards = open_replay(tmp_path / "record", shards), rewards_of(shards)
    rows = make_scored(KEYS, rewards=rewards)
    for first in range(0, 60, 7):
        replay.add(rows.select(range(first, min(60, first + 7))))
    view = replay.view(best, newest)
    order = sorted(range(60), key=lambda i: -rewards[i])[:best]
    assert view.best == len(order) and view.keys[: view.best] == [KEYS[i] for i in order]
    assert len(set(view.keys)) == len(view) == len(view.rewards) == len(view.new)
    assert view.parts.keys() == {"qed"}
    for key, text, source, reward, part in zip(
        view.keys,
        view.sequences,
        view.sources,
        view.rewards.tolist(),
        view.parts["qed"].tolist(),
        strict=True,
    ):
        i = KEYS.index(key)
        assert part == rows.transformed["qed"][i]
        assert (text, source, reward) == (f"{key}*", f"source {i % 2}", rewards[i])
    new = {key for key, flag in zip(view.keys, view.new, strict=True) if flag}
    each = math.ceil(newest / shards)
    assert min(newest, 60) <= len(new) <= each * shards
    assert view.new[view.best :].all()
    if shards == 1:
        assert new == set(KEYS[-newest:] if newest else [])


def test_rows_without_a_reward_are_not_seen(tmp_path: Path, make_scored: Callable[..., Scored]):
    replay = open_replay(tmp_path / "record")
    replay.add(make_scored(KEYS, status=[Status(i % 5) for i in range(60)]))
    view = replay.view(99, 99)
    assert sorted(view.keys) == sorted(KEYS[::5]) and np.isfinite(view.rewards).all()


def test_an_empty_record_gives_an_empty_view(tmp_path: Path):
    view = open_replay(tmp_path / "record").view(5, 5)
    assert (len(view), view.best, view.keys, view.rewards.tolist()) == (0, 0, [], [])


def view_of(best: Sequence[tuple[str, float]], newest: Sequence[tuple[str, float]]) -> RecordView:
    rows = dict([*best, *newest])
    names, fresh = [key for key, _ in best], {key for key, _ in newest}
    return RecordView(
        list(rows),
        list(rows),
        ["policy"] * len(rows),
        np.array(list(rows.values())),
        len(names),
        {"logp": 2 * np.array(list(rows.values()))},
        np.array([key in fresh for key in rows]),
    )


def test_a_best_row_of_one_shard_is_seen_only_if_it_is_among_the_best_or_new():
    one = view_of([("a", 9.0), ("b", 8.0)], [("b", 8.0)])
    other = view_of([("c", 7.0), ("d", 6.0)], [("d", 6.0), ("e", 1.0)])
    joined = join_views([one, other], 2)
    assert (joined.keys, joined.best) == (["a", "b", "d", "e"], 2)
    assert joined.new.tolist() == [False, True, True, True]
    assert joined.parts["logp"].tolist() == (2 * joined.rewards).tolist()
    assert join_views([one, other], 0).keys == ["b", "d", "e"]
