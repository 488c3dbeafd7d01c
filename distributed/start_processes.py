"""Starting the Ray actors of a run that RLlib doesn't: weight board, replay shards and scorers."""

from __future__ import annotations

import os
from pathlib import Path

import ray
from ray.actor import ActorHandle
from ray.rllib.env.env_runner_group import EnvRunnerGroup
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.ray_cluster.join import shard_cpus
from sequence_tutor.distributed.replay.ray_shards import create_shards
from sequence_tutor.distributed.replay.shard_settings import shard_settings
from sequence_tutor.distributed.scoring.fleet import MAX_TASKS, ScorerFleet
from sequence_tutor.distributed.scoring.process import ScorerProcess
from sequence_tutor.distributed.weight_board import WeightBoard, board_name, packed, prior_parts
from sequence_tutor.policies.encodings.base import Encoding
from sequence_tutor.policies.prior import Prior

# Tasks that a scorer has been handed, those that take unusually long not counted: enough to never
# idle, few enough to stay fresh.
HANDED_PER_SCORER = 2


def start_board(run_id: str, prior: ray.ObjectRef) -> ActorHandle:
    """The run's weight board, on the driver's node: without that the run is over anyway. `prior`
    refers to `PriorParts`; keep it as long as the board."""
    here = ray.get_runtime_context().get_node_id()
    return (
        ray.remote(WeightBoard)
        .options(
            name=board_name(run_id),
            num_cpus=0,
            max_restarts=-1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False),
        )
        .remote(packed(prior))
    )


def start_actors(group: EnvRunnerGroup, count: int) -> None:
    """The first actors of RLlib's group; returns when they are there. Their config goes with each:
    RLlib would hand on a reference, and Ray prints an error about arguments in the object store,
    which a restarted actor may find lost."""
    group._remote_config_obj_ref = group._remote_config
    group.add_workers(count, validate=True)


def publish_prior(board: ActorHandle, prior: Prior) -> None:
    """The weights that a policy has before its first update; actors needn't wait for a learner to
    say so."""
    board.publish.remote(0, [ray.put(prior_parts(prior).weights)])


def start_shards(
    run: RunConfig, record: str | Path, encoding: Encoding | None
) -> list[ActorHandle]:
    """The shards of a record, which reload what is there; without an encoding nothing is spelled
    anew."""
    return create_shards(
        run.replay.shards,
        record,
        shard_settings(run, encoding),
        num_cpus=shard_cpus(run),
        resources=run.replay.resources,
    )


def start_scorers(
    run: RunConfig,
    shards: list[ActorHandle],
    least: int,
    most: int,
    encoding: Encoding | None = None,
    handed: int = HANDED_PER_SCORER,
) -> ScorerFleet:
    """Scorers over all nodes, from `least` to `most` of them; those that are to decode episodes
    need an encoding."""
    actor = ray.remote(ScorerProcess).options(
        num_cpus=1,
        resources=run.scorers.resources,
        max_restarts=-1,
        max_task_retries=0,
        max_concurrency=MAX_TASKS,
        # outside any placement group: under Tune its bundles have no room for scorers
        scheduling_strategy="SPREAD",
    )
    here, handles = os.getcwd(), packed(shards)
    return ScorerFleet(
        lambda: actor.remote(run, handles, here, encoding), least, most, handed, run.scorers.idle_s
    )
