"""All scorers behind one face: batches go in, reports come out, a lost scorer costs its batches."""

from __future__ import annotations

import os
from collections import deque
from typing import Any

import ray
from ray.exceptions import ObjectLostError, OwnerDiedError, RayActorError

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.scorer import ScorerProcess
from sequence_tutor.distributed.types import ScoreReport

# Batches that wait or are being scored, per scorer: enough to never idle, few enough to stay fresh.
QUEUE_PER_SCORER = 3
# Of these, how many a scorer has been handed.
HANDED_PER_SCORER = 2


class ScorerPool:
    """The scorers of a run and the batches on their way through them.

    Asynchronous mode uses `put`, `dispatch` and `collect`; synchronous mode `score_in_order`.
    `lost_batches` counts batches that went down with an actor or scorer.
    """

    def __init__(self, run: RunConfig, run_id: str) -> None:
        # Outside any placement group: under Tune its bundles have no room for scorers.
        actor = ray.remote(ScorerProcess).options(
            num_cpus=1, max_restarts=-1, max_task_retries=0, scheduling_strategy="DEFAULT"
        )
        self.processes = [actor.remote(run, run_id, os.getcwd()) for _ in range(run.scorers.count)]
        self.lost_batches = 0
        self._waiting: deque[ray.ObjectRef] = deque()
        self._handed: dict[ray.ObjectRef, int] = {}

    @property
    def waiting(self) -> int:
        """Batches that no scorer has yet."""
        return len(self._waiting)

    @property
    def scoring(self) -> int:
        """Batches that scorers have."""
        return len(self._handed)

    @property
    def full(self) -> bool:
        """Whether more batches would only grow stale."""
        return self.waiting + self.scoring >= QUEUE_PER_SCORER * len(self.processes)

    def put(self, batch: ray.ObjectRef) -> None:
        """Queue a reference to a `Generated` batch."""
        self._waiting.append(batch)

    def dispatch(self) -> None:
        """Keep every scorer supplied, the least busy first."""
        load = [0] * len(self.processes)
        for index in self._handed.values():
            load[index] += 1
        while self._waiting and min(load) < HANDED_PER_SCORER:
            index = load.index(min(load))
            call = self.processes[index].score_and_store.remote(self._waiting.popleft())
            self._handed[call] = index
            load[index] += 1

    def collect(self, timeout_s: float = 0.0) -> list[ScoreReport]:
        """Reports of the batches that are done; waits up to `timeout_s` for the first."""
        if not self._handed:
            return []
        ready, _ = ray.wait(list(self._handed), num_returns=1, timeout=timeout_s)
        if ready:
            ready, _ = ray.wait(list(self._handed), num_returns=len(self._handed), timeout=0)
        reports = []
        for call in ready:
            del self._handed[call]
            try:
                reports.append(ray.get(call))
            except (RayActorError, OwnerDiedError, ObjectLostError) as error:
                if getattr(error, "actor_init_failed", False):  # it would lose every batch
                    raise RuntimeError(f"a scorer can't start: {error}") from error
                self.lost_batches += 1
        return reports

    def score_in_order(self, batches: list[ray.ObjectRef]) -> list[ScoreReport]:
        """Score batches side by side, store their rows one after the other in the given order."""
        calls: list[tuple[Any, Any, Any]] = []
        for i, batch in enumerate(batches):
            process = self.processes[i % len(self.processes)]
            calls.append((process, *process.score.options(num_returns=2).remote(batch)))
        reports = []
        for process, report, rows in calls:
            stored = ray.get(rows)
            if stored:
                reports.append(ray.get(process.store.remote(stored[0], report)))
            else:
                reports.append(ray.get(report))
        return reports

    def kill(self) -> None:
        """End all scorers."""
        for process in self.processes:
            ray.kill(process)
