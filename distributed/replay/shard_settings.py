"""The options of replay shards by the config of a run, on Ray or in one process."""

from __future__ import annotations

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.replay.respelling import Respeller
from sequence_tutor.distributed.replay.sampler import (
    FreshMix,
    RankSampler,
    RowSampler,
    UniformSampler,
)
from sequence_tutor.distributed.replay.shard import ShardSettings
from sequence_tutor.distributed.replay.worth.worth import WorthRules, worth_of
from sequence_tutor.policies.encodings.base import Encoding


def shard_settings(run: RunConfig, encoding: Encoding | None) -> ShardSettings:
    """The settings of a run's shards; without an encoding nothing is learned from the rows, so
    nothing is spelled anew, and rewards are what they are on record."""
    replay = run.replay
    sampler: RowSampler = (
        RankSampler(replay.top, replay.rank_k) if replay.sampling == "rank" else UniformSampler()
    )
    return ShardSettings(
        sampler=FreshMix(sampler, replay.fresh, replay.fresh_window),
        rewrite=None if encoding is None else Respeller(encoding, run.domain),
        rewrite_share=0.0 if encoding is None else replay.rewrite,
        reward_id=run.reward.identity(),
        memory_rows=replay.memory_rows,
        lease_s=replay.lease_s,
        flush_seconds=replay.flush_s,
        worth=WorthRules() if encoding is None else worth_of(run),
    )
