"""All scorers as one: tasks go in, reports come out, and lost tasks are handed out again.

A scorer is handed a little more than it works on, so that it never idles. An overdue task (a hung
sequence that waits for its deadline) doesn't count, so that other tasks don't wait for it. Tasks
are cut so that each takes about a second, or longer with hundreds of scorers: the batch of a slow
reward is spread over all of them, and little is lost with one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

import ray
from ray.exceptions import (
    ActorUnavailableError,
    ObjectLostError,
    OwnerDiedError,
    RayActorError,
    RayError,
)

from sequence_tutor.distributed.scoring.batch_size import BatchSize
from sequence_tutor.distributed.scoring.fleet import (
    DOWN_S,
    LOOK_EVERY_S,
    Assignment,
    ScorerFleet,
    ScorerSlot,
    check_start,
)
from sequence_tutor.distributed.scoring.task import Report, Task

# Tasks that wait in the queue for each scorer, beside those it has.
WAITING_PER_SCORER = 1
# Seconds that a task should take. Where the driver would hand out more than TASKS_PER_S tasks a
# second, tasks take longer; it can hand out about 500 a second.
TASK_S, TASKS_PER_S = 1.0, 100.0
# Seconds from which on tasks count as long: then a scorer has only one at a time.
LONG_TASK_S = 5.0
# Scorers lost with a task of one sequence before it is given up.
ATTEMPTS = 3

R = TypeVar("R", bound=Report)


class ScorerPool(Generic[R]):
    """The scorers of a run and the tasks on their way through them.

    first: sequences of a task before the first report. give_up: makes, of a task that was lost
    with ATTEMPTS scorers, the task that records this; without it such a task counts as lost.
    waiting: sequences that no scorer has yet. scoring: sequences that scorers have. retried: tasks
    that were lost and handed out again. lost: tasks that were lost for good: their sequences are
    gone with the process that made them, or scorers die of them.
    """

    def __init__(
        self, fleet: ScorerFleet, first: int = 1, give_up: Callable[[Any], Any] | None = None
    ) -> None:
        self.fleet, self._give_up = fleet, give_up
        self.batch_size = BatchSize(first=first)
        self.waiting = self.scoring = self.retried = self.lost = 0
        self._queue: deque[Any] = deque()
        self._slots: dict[ray.ObjectRef, ScorerSlot] = {}
        self._allowed = 0
        self._done: SimpleQueue[tuple[ray.ObjectRef, Future[R]]] = SimpleQueue()

    @property
    def tasks(self) -> int:
        """How many tasks wait or are being scored."""
        return len(self._queue) + len(self._slots)

    @property
    def full(self) -> bool:
        """Whether enough tasks wait for every scorer; more would only get stale."""
        under_way = len(self._queue) + self.fleet.load
        return under_way >= (self.fleet.limit + WAITING_PER_SCORER) * max(1, self.fleet.up)

    def put(self, task: Task) -> None:
        self._enqueue(task)

    def drop_waiting(self) -> None:
        """Drop the tasks that no scorer has yet."""
        self._queue.clear()
        self.waiting = 0

    def dispatch(self, budget: int | None = None) -> None:
        """Hand waiting tasks to scorers, the least busy first. At most `budget` scores, where it is
        given, are under way. Raises RuntimeError where a scorer can't start."""
        self.fleet.look(self.batch_size.seconds_per_row)
        self.batch_size.target_s = max(TASK_S, self.fleet.up / TASKS_PER_S)
        # a second task would wait behind a long one while other scorers get idle; before the first
        # report every task counts as long
        task_s = self.batch_size() * (self.batch_size.seconds_per_row or LONG_TASK_S)
        self.fleet.limit = self.fleet.handed if task_s < LONG_TASK_S else 1
        while self._queue:
            left = None if budget is None else budget - self._allowed
            slot = self.fleet.free()
            if slot is None or (left is not None and left < 1):
                return
            task = self._dequeue()
            if task.size > (size := self.batch_size()):
                task, rest = task.split(size)
                self._enqueue(rest, first=True)
            task.allowance = task.size if left is None else min(left, task.size)
            self._allowed += task.allowance
            self.scoring += task.size
            call = self.fleet.hand(slot, task)
            self._slots[call] = slot
            # a callback, as `ray.wait` on the calls of a thousand scorers takes long
            call.future().add_done_callback(lambda done, call=call: self._done.put((call, done)))

    def collect(self, timeout_s: float = 0.0) -> list[R]:
        """Reports of the tasks that are done; waits up to `timeout_s` for the first, or up to
        LOOK_EVERY_S where no scorer has a task. Raises what a scorer raises."""
        if not self._slots:
            time.sleep(min(timeout_s, LOOK_EVERY_S))
        reports: list[R] = []
        while self._slots:
            try:
                call, done = self._done.get(timeout_s > 0, timeout_s)
            except Empty:
                break
            timeout_s = 0.0
            slot = self._slots.pop(call)
            error = done.exception()
            handed = self.fleet.take_back(slot, call, done=error is None)
            self._allowed -= handed.task.allowance
            self.scoring -= handed.task.size
            if error is None:
                report = done.result()
                self.batch_size.report(handed.task.size, report.seconds)
                reports.append(report)
            elif isinstance(error, (RayActorError, OwnerDiedError, ObjectLostError)):
                self._take_loss(slot, handed, error)
            else:
                raise error
        return reports

    def kill(self) -> None:
        """End all scorers."""
        self.fleet.kill()

    def _enqueue(self, task: Task, first: bool = False) -> None:
        (self._queue.appendleft if first else self._queue.append)(task)
        self.waiting += task.size

    def _dequeue(self) -> Any:
        task = self._queue.popleft()
        self.waiting -= task.size
        return task

    def _take_loss(self, slot: ScorerSlot, handed: Assignment, error: RayError) -> None:
        """Queue a lost task again, in halves, so that a sequence that kills scorers is found."""
        task: Any = handed.task
        if isinstance(error, (OwnerDiedError, ObjectLostError)):
            self.lost += 1  # the sequences are gone with the actor that made them
            return
        check_start(error)
        self.fleet.lost(slot)
        self.retried += 1
        if isinstance(error, ActorUnavailableError) and time.monotonic() - handed.since < DOWN_S:
            self._enqueue(task, first=True)  # the call never reached the scorer
        elif task.size > 1:
            for half in reversed(task.split(task.size // 2)):
                self._enqueue(half, first=True)
        elif task.attempts + 1 < ATTEMPTS:
            task.attempts += 1
            self._enqueue(task, first=True)
        elif self._give_up is not None:
            self._enqueue(self._give_up(task))
        else:
            self.lost += 1
