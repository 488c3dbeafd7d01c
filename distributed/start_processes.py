"""Starts the Ray actors of a run: the weight board, the shards, the scorers, the first actors."""

from __future__ import annotations

import os
from pathlib import Path

import ray
from ray.actor import ActorHandle
from ray.rllib.env.env_runner_group import EnvRunnerGroup
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.packing import packed, sent
from sequence_tutor.distributed.population import joined
from sequence_tutor.distributed.ray_cluster.join import shard_cpus
from sequence_tutor.distributed.replay.ray_shards import create_shards
from sequence_tutor.distributed.replay.shard_settings import shard_settings
from sequence_tutor.distributed.scoring.attachments import AttachmentStore
from sequence_tutor.distributed.scoring.fleet import MAX_TASKS, ScorerFleet
from sequence_tutor.distributed.scoring.process import ScorerProcess
from sequence_tutor.distributed.weight_board import WeightBoard, board_name, prior_parts
from sequence_tutor.policies.encodings.base import Encoding
from sequence_tutor.policies.prior import Prior
from sequence_tutor.rewards.place import Turn

# Most tasks that a scorer has at a time, overdue ones not counted. With more, episodes would be
# older when they are scored; with fewer, scorers would idle.
HANDED_PER_SCORER = 2


def start_board(run_id: str, prior: ray.ObjectRef) -> ActorHandle:
    """The run's weight board. It is on the driver's node, without which the run would end anyway.
    `prior` refers to `PriorParts`; keep the reference as long as the board."""
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
    """Start the first actors of RLlib's group and wait for them. Each gets the config itself: RLlib
    would pass a reference, which may be lost when an actor restarts, and Ray prints an error about
    that."""
    group._remote_config_obj_ref = group._remote_config
    group.add_workers(count, validate=True)


def publish_prior(board: ActorHandle, prior: Prior, policies: int) -> None:
    """Publish the prior's weights as the first of all policies, so that actors needn't wait for the
    learner."""
    weights = joined([prior_parts(prior).weights] * policies)
    board.publish.remote(0, [ray.put(weights)])


def start_shards(
    run: RunConfig, record: str | Path, encoding: Encoding | None
) -> list[ActorHandle]:
    """Start the shards of a record; they reload the rows on record. Without an encoding they don't
    spell sequences anew."""
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
    files: AttachmentStore,
    encoding: Encoding | None = None,
    handed: int = HANDED_PER_SCORER,
    earlier: str | None = None,
) -> ScorerFleet:
    """From `least` to `most` scorers, spread over all nodes. To score episodes they need the
    encoding. files: where they store components' files. handed: most tasks that a scorer has at a
    time. earlier: a run directory with raw values of an earlier run."""
    actor = ray.remote(ScorerProcess).options(
        num_cpus=1,
        resources=run.scorers.resources,
        max_restarts=-1,
        max_task_retries=0,
        max_concurrency=MAX_TASKS,
        # outside any placement group: the bundles of a Tune trial have no CPUs for scorers
        scheduling_strategy="SPREAD",
    )
    here, whole, handles = os.getcwd(), sent(run), packed(shards)

    def start(number: int) -> ActorHandle:
        return actor.remote(whole, handles, here, files, encoding, Turn(number, most), earlier)

    return ScorerFleet(start, least, most, handed, run.scorers.idle_s)
