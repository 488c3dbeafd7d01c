"""Shards with default settings for tests."""

from __future__ import annotations

from typing import Any

from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.replay.sampler import UniformSampler
from sequence_tutor.distributed.replay.shard import ReplayShard, ShardSettings
from sequence_tutor.distributed.replay.shard_calls import LocalShardCalls
from sequence_tutor.policies.files.storage import Where

OF_SHARD = {"restarted", "clock"}


def settings(**changes: Any) -> ShardSettings:
    """Settings of a shard with uniform sampling that spells no sequence anew."""
    plain: dict[str, Any] = {
        "sampler": UniformSampler(),
        "rewrite": None,
        "rewrite_share": 0.0,
        "reward_id": "",
        "memory_rows": 100_000,
        "lease_s": 10.0,
        "flush_seconds": 10.0,
    }
    return ShardSettings(**plain | changes)


def client_of(shards: list[ReplayShard]) -> ReplayClient:
    """A client of shards in this process."""
    return ReplayClient(LocalShardCalls(shards))


def worth(replay: ReplayClient) -> dict[str, float]:
    """By key: what the valid rows with a reward are worth."""
    view = replay.view(1000, 0)
    return dict(zip(view.keys, view.rewards.tolist(), strict=True))


def open_shard(place: Where, shard: int = 0, shards: int = 1, **options: Any) -> ReplayShard:
    """A shard of the record at a place; options of `settings`, `restarted` and `clock`."""
    own = {name: value for name, value in options.items() if name in OF_SHARD}
    changes = {name: value for name, value in options.items() if name not in OF_SHARD}
    return ReplayShard(place, settings(**changes), shard, shards, **own)
