"""Starts or joins a cluster, and checks that it has the resources of a run before any process
waits for them."""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter
from typing import Any

import ray
from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError
from ray.util.placement_group import placement_group, remove_placement_group
from rich.console import Console

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.ray_cluster.address import (
    ClusterError,
    check_cluster,
    cluster_address,
)
from sequence_tutor.distributed.ray_cluster.storage_environment import storage_environment
from sequence_tutor.distributed.stop_signal import ResourceError, StoppedError, StopRequest

# Makes OpenMP threads sleep soon when they wait. By default they spin, and with more threads than
# cores (learner, actors and scorers on one machine) a training step takes ten times as long. With
# OMP_WAIT_POLICY=PASSIVE they never spin, but waking them costs a fifth of a step.
PROCESS_ENVIRONMENT = {"GOMP_SPINCOUNT": "3000"}


# CPUs that a shard asks Ray for, unless it asks for resources of its own.
SHARD_CPUS = 0.01
# Seconds between two checks for free resources, and between two lines that say they are missing.
LOOK_EVERY_S, TELL_EVERY_S = 0.5, 30.0
# Attempts to start Ray on this machine, and part of Ray's message where its processes don't answer
# within half a minute.
START_ATTEMPTS, TIMED_OUT = 2, "timed out"


def shard_cpus(run: RunConfig) -> float:
    """CPUs that a shard asks for; 0 with resources of its own, so its node needs no CPUs."""
    return 0.0 if run.replay.resources else SHARD_CPUS


def bundles(run: RunConfig, scoring_only: bool = False) -> list[dict[str, float]]:
    """The resources of each process of a run, with the least numbers of actors and scorers."""
    learner, actors, scorers = run.learner, run.actors, run.scorers
    shard = {"CPU": shard_cpus(run), **run.replay.resources}
    scorer = {"CPU": 1, **scorers.resources}
    if scoring_only:
        return [shard] * run.replay.shards + [scorer] * scorers.least
    return [
        *[shard] * run.replay.shards,
        *[{"CPU": 1, "GPU": learner.gpus, **learner.resources}] * learner.count,
        *[{"CPU": 1, "GPU": actors.gpus, **actors.resources}] * actors.least,
        *search_bundles(run),
        *[scorer] * (scorers.least if run.generates else 0),
    ]


def search_bundles(run: RunConfig) -> list[dict[str, float]]:
    """The resources of each process of the proposers and of the screen."""
    found: list[dict[str, float]] = []
    for proposer in run.proposers.all.values():
        found += [{"CPU": 1, **proposer.resources}] * proposer.processes
    if run.screen is not None:
        found += [{"CPU": 1, **run.screen.resources}] * run.screen.processes
    return found


def needed(run: RunConfig, scoring_only: bool = False) -> dict[str, float]:
    """The sum of the `bundles`, by resource."""
    total: Counter[str] = Counter()
    for bundle in bundles(run, scoring_only):
        total.update(bundle)
    return dict(total)


def check_resources(run: RunConfig, scoring_only: bool = False) -> None:
    """Raises ResourceError where the cluster has less than the run needs, free or in use."""
    have = ray.cluster_resources()
    for kind, amount in needed(run, scoring_only).items():
        if amount > have.get(kind, 0) + 1e-9:
            raise ResourceError(
                f"the run needs {amount:g} {kind}s and the Ray cluster has {have.get(kind, 0):g}; "
                f"{_advice(kind)}"
            )


def enter_cluster(
    run: RunConfig, console: Console, stop: StopRequest, scoring_only: bool = False
) -> None:
    """Start or join Ray, and wait for the resources of all processes of the run.

    Other runs may use a cluster, or an autoscaler may add nodes for resources that a run waits for,
    so on a cluster this waits up to `wait_s`. Raises ResourceError where resources are missing
    then, StoppedError where a stop is wanted meanwhile.
    """
    joined = start_ray(run)
    stop.listen()  # Ray has set its own handler of SIGTERM
    if joined:
        _await_room(run, console, stop, scoring_only)
    check_resources(run, scoring_only)
    if not scoring_only:
        tell_of_gpus(run, console)


def tell_of_gpus(run: RunConfig, console: Console) -> None:
    """Print a hint where the cluster has GPUs and the config asks for none."""
    count = ray.cluster_resources().get("GPU", 0)
    idle = run.mode == "asynchronous" and not run.learner.gpus and not run.actors.gpus
    if count and idle:
        here = "1 GPU is" if count == 1 else f"{count:g} GPUs are"
        console.print(
            f"{here} here and not asked for; learner.gpus = 0.5 and actors.gpus = 0.5 "
            "would share one",
            soft_wrap=True,
            highlight=False,
        )


def _await_room(run: RunConfig, console: Console, stop: StopRequest, scoring_only: bool) -> None:
    wanted = [{k: v for k, v in b.items() if v} for b in bundles(run, scoring_only)]
    group = placement_group([bundle for bundle in wanted if bundle])
    started = printed = time.monotonic()
    printed -= TELL_EVERY_S - 2.0  # print the first line after two seconds
    try:
        while not group.wait(LOOK_EVERY_S):
            now = time.monotonic()
            if stop.wanted:
                raise StoppedError("stopped while the run waited for room on the cluster")
            if now - started >= run.wait_s:
                raise ResourceError(
                    f"no room for the run within {run.wait_s:g} s: "
                    f"{_situation(run, scoring_only)}; lower the counts of "
                    "actors, scorers or learners, let the cluster grow, or raise wait_s"
                )
            if now - printed >= TELL_EVERY_S:
                printed = now
                console.print(
                    f"waiting for room, up to {run.wait_s:g} s: {_situation(run, scoring_only)}",
                    soft_wrap=True,
                    highlight=False,
                )
    finally:
        remove_placement_group(group)


def _situation(run: RunConfig, scoring_only: bool) -> str:
    """A text on the resources that the run needs, and how much the cluster has in all and free."""
    need = needed(run, scoring_only)
    have, free = ray.cluster_resources(), ray.available_resources()
    kinds = [kind for kind, amount in need.items() if amount]
    nodes = sum(node["Alive"] for node in ray.nodes())
    return (
        "the run needs "
        + ", ".join(f"{need[kind]:g} {kind}" for kind in kinds)
        + "; the cluster has "
        + ", ".join(f"{have.get(k, 0):g} {k} ({free.get(k, 0):g} free)" for k in kinds)
        + f" on {nodes} node{'' if nodes == 1 else 's'}"
    )


def _advice(kind: str) -> str:
    if kind == "GPU":
        return "lower actors.count or learner.count, or set learner.gpus and actors.gpus to 0"
    if kind == "CPU":
        return "lower actors.count, scorers.count (or give scorers.min) or learner.count"
    return "start nodes that offer it, or take it out of the [...] resources that ask for it"


def forget_token() -> None:
    """Have Ray read its token from the environment again: it keeps the first one of a process."""
    AuthenticationTokenLoader.instance().reset_cache()


def start_ray(run: RunConfig) -> bool:
    """Join the cluster that RAY_ADDRESS names, or start Ray on this machine alone. Returns whether
    a cluster was joined. Raises ClusterError where it doesn't answer or refuses this machine, and
    where Ray doesn't start here in time.

    Ray on this machine alone gets at least the CPUs that the run asks for: more processes than
    cores are slow but work, so that every run can be tried on a small machine.
    """
    if ray.is_initialized():
        return cluster_address() is not None
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    check_cluster()
    if (address := cluster_address()) is not None:
        # Ray refuses other values than those in the runtime environment of a job
        ours = {k: v for k, v in PROCESS_ENVIRONMENT.items() if k not in os.environ}
        ours |= storage_environment(os.environ)
        try:
            ray.init(runtime_env={"env_vars": ours}, **quiet)
        except (ConnectionError, AuthenticationError) as error:
            raise ClusterError(
                f"can't join the Ray cluster at {address}: it isn't there, or "
                "this machine lacks its token (RAY_AUTH_MODE=token, and the token in "
                "~/.ray/auth_token or RAY_AUTH_TOKEN); Ray says: " + str(error).split(". ")[0]
            ) from error
        return True
    # Inherited by every process of the local cluster, without the cost of a runtime environment.
    for name, value in PROCESS_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # Ray's processes listen on all of the machine's addresses, so they ask for a token, which this
    # run alone knows. The mode may be from a parent that called `ray.init`, without its token.
    if os.environ.get("RAY_AUTH_MODE", "token").lower() == "token":
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        forget_token()
    cpus = max(os.cpu_count() or 1, int(needed(run)["CPU"]) + 1)
    _start_here(num_cpus=cpus, include_dashboard=False, **quiet)
    return False


def _start_here(**options: Any) -> None:
    """Start Ray on this machine, at a second attempt if the machine was too busy for the first.
    Raises ClusterError if that is too slow as well. What is left of an attempt ends with this
    process."""
    for _ in range(START_ATTEMPTS):
        try:
            ray.init(address="local", **options)
            return
        except Exception as error:  # Ray has no type for it
            if TIMED_OUT not in str(error).lower():
                raise
            cause = error
    raise ClusterError(
        f"Ray didn't start on this machine in time, in {START_ATTEMPTS} attempts: the machine is "
        "busy or short of memory; try again later, or run without Ray (--local)"
    ) from cause
