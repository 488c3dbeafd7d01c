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

from sequence_tutor.distributed.generating.shares import BatchSizes
from sequence_tutor.distributed.scoring.fleet import check_start
from sequence_tutor.distributed.scoring.process import UnknownTicketError
from sequence_tutor.distributed.search import RESTART_PATIENCE_S, RETRY_S, Part, Search
from sequence_tutor.distributed.training import shares_of_budget
from sequence_tutor.distributed.types import (
    ActorReport,
    RoundReport,
    ScoreReport,
    ScreenReport,
)

STEPS = ("prepare", "claim", "score", "store")
SIDE_BY_SIDE = ("prepare", "score")
LOST = (RayActorError, OwnerDiedError, ObjectLostError, UnknownTicketError)
# An actor's report, and a list with the reference to its `Generated`.
Made = tuple[ActorReport, list[Any]]

# Seconds between two checks of whether an actor is back.
PROBE_S = 0.05


def generate_and_score(
    group: Any,
    search: Search | None,
    scorers: list[ActorHandle],
    workers: Sequence[int],
    iteration: int,
    left: int | None,
) -> RoundReport:
    """Have each of these actors of an EnvRunnerGroup and each proposer make a batch, the screen
    choose among them if there is one, and the scorers score what is chosen.

    left: how many valid sequences may be scored, None for any number. Raises RuntimeError where an
    actor doesn't come back or a process can't start, the error of the lost call where another
    process doesn't come back.
    """
    sizes = BatchSizes(None, {}) if search is None else search.sizes()

    def by_actors(asked: Sequence[int]) -> list[Made]:
        return one_batch_each(group, asked, iteration, sizes.policy)

    made = by_actors(workers)
    generated = [report for report, _ in made]
    parts: list[Part] = [(references[0], report.rows) for report, references in made]
    screened = []
    if search is not None:
        reports, proposed = search.propose_round(sizes, iteration)
        generated += reports
        parts += proposed
        if search.screens and parts:
            screen_report, parts = _choose(search, parts, lambda: by_actors(workers), iteration)
            screened = [screen_report]

    def again(i: int) -> Any:
        # what proposers and the screen made is in the driver's store; only an actor's can be lost
        return by_actors([generated[i].worker])[0][1][0]

    allowances = shares_of_budget([rows for _, rows in parts], left)
    scores = score_in_order(scorers, [reference for reference, _ in parts], allowances, again)
    return RoundReport(generated, scores, screened)


def _choose(
    search: Search, parts: list[Part], again: Callable[[], list[Made]], iteration: int
) -> tuple[ScreenReport, list[Part]]:
    """The screen's choice. `again` makes the actors' batches, which come first, once more if they
    are lost."""
    until = time.monotonic() + RESTART_PATIENCE_S
    while True:
        try:
            return search.choose_round([reference for reference, _ in parts], iteration)
        except (OwnerDiedError, ObjectLostError):
            if time.monotonic() > until:
                raise
            made = [(references[0], report.rows) for report, references in again()]
            parts = made + parts[len(made) :]


def one_batch_each(
    group: Any, workers: Sequence[int], iteration: int, n: int | None = None
) -> list[Made]:
    """A batch of each of these actors of an EnvRunnerGroup, in the order of their numbers; n: see
    `SequenceActor.sample`. An actor
    that is lost is asked again after its restart, and generates the same batch then. Raises
    RuntimeError for one that doesn't come back."""
    missing = set(workers)
    found: list[Made] = []
    until = time.monotonic() + RESTART_PATIENCE_S
    while missing:
        results = group.foreach_env_runner(
            "sample",
            kwargs={"iteration": iteration, "n": n},
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
                check_start(error)
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
