"""A synchronous round: one batch of each actor, in order, and their scores in that order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ray.actor import ActorHandle

from sequence_tutor.distributed.scoring.in_order import PATIENCE_S, score_in_order
from sequence_tutor.distributed.types import ActorReport, ScoreReport

# What an actor made: a report, and the reference to the rest.
Batch = tuple[ActorReport, list[Any]]

# Seconds between two looks at whether an actor is back.
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
    actor or a scorer doesn't come back.
    """
    batches = one_batch_each(group, workers, iteration)
    # what a batch may use of the budget mustn't depend on how the others fared
    allowances: list[int] = []
    for report, _ in batches:
        allowances.append(report.rows if left is None else min(left, report.rows))
        left = None if left is None else left - allowances[-1]
    made_by = [report.worker for report, _ in batches]
    scores = score_in_order(
        scorers,
        [references[0] for _, references in batches],
        allowances,
        lambda i: one_batch_each(group, [made_by[i]], iteration)[0][1][0],
    )
    return [report for report, _ in batches], scores


def one_batch_each(group: Any, workers: Sequence[int], iteration: int) -> list[Batch]:
    """A batch of each of these actors of an EnvRunnerGroup, in their order, however often one has
    to be started again: what an actor generates in a round depends on nothing that dies with it.
    Raises RuntimeError for one that doesn't come back."""
    missing = set(workers)
    found: list[Batch] = []
    until = time.monotonic() + PATIENCE_S
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
