"""Starting the Ray actors of a run that RLlib doesn't: the weight board and the replay shards."""

from __future__ import annotations

from pathlib import Path

import ray
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.replay.sampler import (
    FreshMix,
    RankSampler,
    RowSampler,
    UniformSampler,
)
from sequence_tutor.distributed.replay.sharded import create_shards
from sequence_tutor.distributed.respell import Respeller
from sequence_tutor.distributed.weights import WeightBoard, board_name, prior_parts
from sequence_tutor.policies.encoding import Encoding
from sequence_tutor.policies.prior import Prior
from sequence_tutor.rewards.domains import domain_of


def start_board(run_id: str, prior: Prior) -> ActorHandle:
    """The run's weight board, on the driver's node: without that the run is over anyway."""
    here = ray.get_runtime_context().get_node_id()
    return (
        ray.remote(WeightBoard)
        .options(
            name=board_name(run_id),
            num_cpus=0,
            max_restarts=-1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False),
        )
        .remote(prior_parts(prior))
    )


def start_shards(
    run: RunConfig, record: str | Path, encoding: Encoding | None
) -> list[ActorHandle]:
    """The shards of a record, which reload what is there; without an encoding nothing is spelled
    anew."""
    replay = run.replay
    sampler: RowSampler = (
        RankSampler(replay.top, replay.rank_k) if replay.sampling == "rank" else UniformSampler()
    )
    return create_shards(
        replay.shards,
        record,
        sampler=FreshMix(sampler, replay.fresh, replay.fresh_window),
        rewrite=None if encoding is None else Respeller(encoding, domain_of(run.encoding)),
        rewrite_share=0.0 if encoding is None else replay.rewrite,
        memory_rows=replay.memory_rows,
        flush_seconds=replay.flush_s,
        lease_s=replay.lease_s,
        reward_id=run.reward.identity(),
    )
