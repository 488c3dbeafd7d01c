"""Synchronous mode on Ray: one batch of each actor, in order, and their scores in that order.

The batches of a round are prepared and scored in parallel, but claim their keys and are stored one
after the other: of equal sequences the same one counts every time, however fast each scorer is.
Work that is lost with a process is repeated, so the result of a round doesn't depend on losses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import ObjectLostError, OwnerDiedError, RayActorError

from sequence_tutor.distributed.scoring.process import UnknownTicketError
from sequence_tutor.distributed.training import shares_of_budget
from sequence_tutor.distributed.types import ActorReport, ScoreReport

STEPS = ("prepare", "claim", "score", "store")
SIDE_BY_SIDE = ("prepare", "score")
LOST = (RayActorError, OwnerDiedError, ObjectLostError, UnknownTicketError)
# Seconds before a lost scorer is asked again; seconds after which a process that doesn't come back
# is an error.
RETRY_S, RESTART_PATIENCE_S = 0.5, 300.0
# An actor's report, and a list with the reference to its `Generated`.
Made = tuple[ActorReport, list[Any]]

# Seconds between two checks of whether an actor is back.
PROBE_S = 0.05


def generate_and_score(
    group: Any,
    scorers: list[ActorHandle],
    workers: Sequence[int],
    iteration: int,
    left: int | None,
) -> tuple[list[ActorReport], list[ScoreReport]]:
    """Have each of these actors of an EnvRunnerGroup generate a batch, and the scorers score all.

    left: how many valid sequences may be scored, None for any number. Raises RuntimeError where an
    actor doesn't come back or a scorer can't start, the error of the lost call where a scorer
    doesn't come back.
    """
    batches = one_batch_each(group, workers, iteration)
    allowances = shares_of_budget([report.rows for report, _ in batches], left)
    made_by = [report.worker for report, _ in batches]
    scores = score_in_order(
        scorers,
        [references[0] for _, references in batches],
        allowances,
        lambda i: one_batch_each(group, [made_by[i]], iteration)[0][1][0],
    )
    return [report for report, _ in batches], scores


def one_batch_each(group: Any, workers: Sequence[int], iteration: int) -> list[Made]:
    """A batch of each of these actors of an EnvRunnerGroup, in the order of their numbers. An actor
    that is lost is asked again after its restart, and generates the same batch then. Raises
    RuntimeError for one that doesn't come back."""
    missing = set(workers)
    found: list[Made] = []
    until = time.monotonic() + RESTART_PATIENCE_S
    while missing:
        results = group.foreach_env_runner(
            "sample",
            kwargs={"iteration": iteration},
            local_env_runner=False,
            remote_worker_ids=sorted(missing),
        )
        found += results
        missing -= {report.worker for report, _ in results}
        if missing:
            if time.monotonic() > until:
                raise RuntimeError(f"actors {sorted(missing)} don't come back")
            time.sleep(PROBE_S)
            group.probe_unhealthy_env_runners()
    return sorted(found, key=lambda result: result[0].worker)


def score_in_order(
    processes: list[ActorHandle],
    batches: list[ray.ObjectRef],
    allowances: list[int],
    again: Callable[[int], ray.ObjectRef],
) -> list[ScoreReport]:
    """Score and store batches; of the valid sequences of batch i at most allowances[i] are scored.

    Work that is lost with its scorer is repeated when the scorer is back. A batch that is lost is
    made again by `again` (i -> reference). Raises RuntimeError where a scorer can't start.
    """
    work = _Round(processes, list(batches), allowances, again)
    numbers = range(len(batches))
    results: list[ScoreReport] = []
    for step in STEPS:
        if step in SIDE_BY_SIDE:
            calls = [work.start(i, step) for i in numbers]
            results = [work.finish(i, step, call) for i, call in zip(numbers, calls, strict=True)]
        else:
            results = [work.finish(i, step, work.start(i, step)) for i in numbers]
    return results


class _Round:
    def __init__(
        self,
        processes: list[ActorHandle],
        batches: list[ray.ObjectRef],
        allowances: list[int],
        again: Callable[[int], ray.ObjectRef],
    ) -> None:
        self.processes, self.batches = processes, batches
        self.allowances, self.again = allowances, again

    def start(self, i: int, step: str) -> ray.ObjectRef:
        call = getattr(self.processes[i % len(self.processes)], step)
        if step == "prepare":
            return call.remote(i, self.batches[i], self.allowances[i])
        return call.remote(i)

    def finish(self, i: int, step: str, call: ray.ObjectRef) -> Any:
        """The step's result; where it was lost, all steps of this batch up to it are repeated."""
        until = time.monotonic() + RESTART_PATIENCE_S
        while True:
            try:
                return ray.get(call)
            except LOST as error:
                if getattr(error, "actor_init_failed", False):
                    raise RuntimeError(f"a scorer can't start: {error}") from error
                if time.monotonic() > until:
                    raise
                if isinstance(error, (OwnerDiedError, ObjectLostError)):
                    self.batches[i] = self.again(i)
                else:
                    time.sleep(RETRY_S)
                call = self._from_the_start(i, step)

    def _from_the_start(self, i: int, step: str) -> ray.ObjectRef:
        """Repeat the steps before this one, then start it. Returns the reference of the first step
        that is lost, else of this one."""
        for earlier in STEPS[: STEPS.index(step)]:
            call = self.start(i, earlier)
            try:
                ray.get(call)
            except LOST:
                return call
        return self.start(i, step)
