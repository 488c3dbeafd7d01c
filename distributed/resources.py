"""Whether the cluster has what a run needs, said before anything hangs."""

from __future__ import annotations

import logging
import os
from typing import Any

import ray

from sequence_tutor.distributed.config import RunConfig

# Threads that wait must soon sleep. By default OpenMP's spin, and where there are more threads than
# cores (learner, actors and scorers on one machine) a training step takes ten times as long; with
# OMP_WAIT_POLICY=PASSIVE they never spin, and waking them costs a fifth of a step.
PROCESS_ENVIRONMENT = {"GOMP_SPINCOUNT": "3000"}


class ResourceError(ValueError):
    """The cluster is too small for the run; the message says what is missing and what to change."""


def needed(run: RunConfig, scoring_only: bool = False) -> dict[str, float]:
    """Logical CPUs and GPUs: one CPU per actor, scorer and learner; shards and the board are
    light and share what is left (a hundredth of a CPU each)."""
    shards = 0.01 * run.replay.shards
    if scoring_only:
        return {"CPU": run.scorers.count + shards}
    scorers = run.scorers.count if run.actors.count else 0  # without actors there is nothing new
    cpus = run.actors.count + scorers + run.learner.count + shards
    gpus = run.actors.count * run.actors.gpus + run.learner.count * run.learner.gpus
    return {"CPU": cpus, "GPU": gpus}


def check_resources(run: RunConfig, scoring_only: bool = False) -> None:
    """Raises ResourceError where the cluster lacks something."""
    have = ray.cluster_resources()
    for kind, amount in needed(run, scoring_only).items():
        if amount > have.get(kind, 0):
            raise ResourceError(
                f"the run needs {amount:g} {kind}s and the Ray cluster has {have.get(kind, 0):g}; "
                "lower actors.count, scorers.count or learner.count"
                + (" or set learner.gpus and actors.gpus to 0" if kind == "GPU" else "")
            )


def start_ray(run: RunConfig) -> None:
    """Join the cluster that RAY_ADDRESS names, or start Ray on this machine alone.

    A local Ray counts at least the CPUs that the run asks for: more processes than cores is slow
    but works, and small machines should be able to try everything.
    """
    if ray.is_initialized():
        return
    # RLlib warns at each start of things that are as we want them.
    logging.getLogger("ray.rllib").setLevel(logging.ERROR)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(runtime_env={"env_vars": PROCESS_ENVIRONMENT}, **quiet)
        return
    # Inherited by every process of the local cluster, without the cost of a runtime environment.
    for name, value in PROCESS_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # This cluster is for this process alone, on loopback; there is nobody to authenticate.
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    cpus = max(os.cpu_count() or 1, int(needed(run)["CPU"]) + 1)
    ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
