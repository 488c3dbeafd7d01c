"""The batches of a synchronous round: one of each actor, in order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sequence_tutor.distributed.scoring.in_order import PATIENCE_S
from sequence_tutor.distributed.types import ActorReport

# What an actor made: a report, and the reference to the rest.
Batch = tuple[ActorReport, list[Any]]

# Seconds between two looks at whether an actor is back.
PROBE_S = 0.05


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
