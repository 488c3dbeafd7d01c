"""All scorers behind one face: tasks go in, reports come out, what dies is given to others.

A scorer is handed a little more than it works on, so that it never idles; what takes long (a hung
sequence that waits for its deadline) doesn't count, so that it holds nobody up. Tasks are cut so
that one takes about a second: a dear reward's batch is spread over all scorers, and little is lost
with one.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import ray
from ray.actor import ActorHandle
from ray.exceptions import (
    ActorUnavailableError,
    ObjectLostError,
    OwnerDiedError,
    RayActorError,
    RayError,
)

from sequence_tutor.distributed.bulk.pace import BatchSize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.scorer_process import ScorerProcess
from sequence_tutor.policies.encoding import Encoding

# Batches that a scorer has been handed, those that take unusually long not counted: enough to never
# idle, few enough to stay fresh.
HANDED_PER_SCORER = 2
# How many more wait for each scorer.
WAITING_PER_SCORER = 1
# How many a scorer has at most, each in a thread of its own.
THREADS = 16
# A task takes unusually long when one that was handed out later is done, or after so many times
# what all that the scorer has should take, and these seconds.
LONG, LONG_S = 1.2, 0.25
# Seconds before a scorer that couldn't be reached is tried again.
DOWN_S = 1.0
# How often a task that can't be cut any smaller may take its scorer down.
ATTEMPTS = 3


class Report(Protocol):
    """What any scored task reports: rows, and seconds spent on them."""

    @property
    def rows(self) -> int: ...

    @property
    def seconds(self) -> float: ...


R = TypeVar("R", bound=Report)


class Task(Protocol):
    """Something for a scorer to do. size: sequences in it; attempts: how often it was lost."""

    attempts: int

    @property
    def size(self) -> int: ...

    def send(self, process: ActorHandle) -> ray.ObjectRef: ...

    def split(self, n: int) -> tuple[Any, Any]:
        """The first n sequences, and the rest."""


@dataclass
class EpisodeSlice:
    """Rows first to last - 1 of a generated batch; of its valid ones `allowance` may be scored."""

    batch: ray.ObjectRef
    first: int
    last: int
    allowance: int = 0
    attempts: int = 0

    @property
    def size(self) -> int:
        return self.last - self.first

    def send(self, process: ActorHandle) -> ray.ObjectRef:
        call = process.score_and_store
        return call.remote(self.batch, (self.first, self.last), self.allowance)

    def split(self, n: int) -> tuple[EpisodeSlice, EpisodeSlice]:
        middle = self.first + n
        return EpisodeSlice(self.batch, self.first, middle), EpisodeSlice(
            self.batch, middle, self.last
        )


@dataclass
class _Handed(Generic[R]):
    task: Any
    process: int
    since: float
    late: bool = False


class ScorerPool(Generic[R]):
    """The scorers of a run and the tasks on their way through them.

    `retried` counts tasks that were lost and handed out again, `lost` those that were lost for
    good, because the sequences themselves are gone or take every scorer down; `collect` gives the
    latter to `bury`, where there is one.
    """

    def __init__(
        self,
        run: RunConfig,
        shards: list[ActorHandle],
        count: int,
        encoding: Encoding | None = None,
        bury: Callable[[Any], Any] | None = None,
        handed: int = HANDED_PER_SCORER,
    ) -> None:
        # Outside any placement group: under Tune its bundles have no room for scorers.
        actor = ray.remote(ScorerProcess).options(
            num_cpus=1,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=THREADS,
            scheduling_strategy="DEFAULT",
        )
        self.processes = [actor.remote(run, shards, os.getcwd(), encoding) for _ in range(count)]
        self.retried = self.lost = 0
        self.batch_size = BatchSize(first=run.actors.batch)
        self._bury, self._most_handed = bury, handed
        self._waiting: deque[Any] = deque()
        self._handed: dict[ray.ObjectRef, _Handed[R]] = {}
        self._proven: set[int] = set()
        self._down_until = [0.0] * count

    @property
    def waiting(self) -> int:
        """Sequences that no scorer has yet."""
        return sum(task.size for task in self._waiting)

    @property
    def scoring(self) -> int:
        """Sequences that scorers have."""
        return sum(handed.task.size for handed in self._handed.values())

    @property
    def tasks(self) -> int:
        """Tasks that wait or are being scored."""
        return len(self._waiting) + len(self._handed)

    @property
    def full(self) -> bool:
        """Whether more tasks would only grow stale."""
        under_way = len(self._waiting) + sum(self._load())
        return under_way >= (self._most_handed + WAITING_PER_SCORER) * len(self.processes)

    @property
    def allowed(self) -> int:
        """Scores that tasks under way may use."""
        return sum(getattr(handed.task, "allowance", 0) for handed in self._handed.values())

    def put(self, task: Task) -> None:
        self._waiting.append(task)

    def drop_waiting(self) -> int:
        """Forget what no scorer has yet; how many sequences that was."""
        dropped = self.waiting
        self._waiting.clear()
        return dropped

    def dispatch(self, budget: int | None = None) -> None:
        """Keep every scorer supplied, the least busy first. Not more than `budget` scores are
        allowed to be under way, where it is given."""
        now = time.monotonic()
        load, total = self._load(), self._total()
        while self._waiting:
            free = [
                i
                for i in range(len(load))
                if load[i] < self._most_handed and total[i] < THREADS and self._down_until[i] <= now
            ]
            left = None if budget is None else budget - self.allowed
            if not free or (left is not None and left < 1):
                return
            index = min(free, key=lambda i: load[i])
            task = self._waiting.popleft()
            if task.size > (size := self.batch_size()):
                task, rest = task.split(size)
                self._waiting.appendleft(rest)
            if isinstance(task, EpisodeSlice):
                task.allowance = task.size if left is None else min(left, task.size)
            self._handed[task.send(self.processes[index])] = _Handed(task, index, now)
            load[index] += 1
            total[index] += 1

    def collect(self, timeout_s: float = 0.0) -> list[R]:
        """Reports of the tasks that are done; waits up to `timeout_s` for the first. Raises
        RuntimeError where a scorer can't start, and what a scorer raises."""
        if not self._handed:
            return []
        ready, _ = ray.wait(list(self._handed), num_returns=1, timeout=timeout_s)
        if ready:
            ready, _ = ray.wait(list(self._handed), num_returns=len(self._handed), timeout=0)
        reports: list[R] = []
        for call in ready:
            handed = self._handed.pop(call)
            try:
                report = ray.get(call)
            except (RayActorError, OwnerDiedError, ObjectLostError) as error:
                self._take_loss(handed, error)
            else:
                self._proven.add(handed.process)
                for other in self._handed.values():  # a scorer begins its tasks in their order
                    if other.process == handed.process and other.since < handed.since:
                        other.late = True
                self.batch_size.report(handed.task.size, report.seconds)
                reports.append(report)
        return reports

    def kill(self) -> None:
        """End all scorers."""
        for process in self.processes:
            ray.kill(process)

    def _total(self) -> list[int]:
        total = [0] * len(self.processes)
        for handed in self._handed.values():
            total[handed.process] += 1
        return total

    def _load(self) -> list[int]:
        """Tasks that each scorer has, but those that take unusually long."""
        load, now = [0] * len(self.processes), time.monotonic()
        expected_s = [0.0] * len(self.processes)
        for handed in self._handed.values():
            if not handed.late:
                seconds = handed.task.size * self.batch_size.seconds_per_row
                expected_s[handed.process] += seconds
        for handed in self._handed.values():
            long_s = LONG_S + LONG * expected_s[handed.process]
            # nothing is unusual in a process that is only starting
            proven = handed.process in self._proven
            if not handed.late and not (proven and now - handed.since > long_s):
                load[handed.process] += 1
        return load

    def _take_loss(self, handed: _Handed[R], error: RayError) -> None:
        """Hand it out again, cut in halves, so that a sequence that takes scorers down is found."""
        if getattr(error, "actor_init_failed", False):  # it would lose every task
            raise RuntimeError(f"a scorer can't start: {error}") from error
        task = handed.task
        if isinstance(error, (OwnerDiedError, ObjectLostError)):
            self.lost += 1  # the sequences went down with the actor that made them
            return
        self._proven.discard(handed.process)
        self._down_until[handed.process] = time.monotonic() + DOWN_S
        self.retried += 1
        if isinstance(error, ActorUnavailableError) and time.monotonic() - handed.since < DOWN_S:
            self._waiting.appendleft(task)  # it was never begun
        elif task.size > 1:
            self._waiting.extendleft(reversed(task.split(task.size // 2)))
        elif task.attempts + 1 < ATTEMPTS:
            task.attempts += 1
            self._waiting.appendleft(task)
        elif self._bury is not None:
            self._waiting.append(self._bury(task))
        else:
            self.lost += 1
