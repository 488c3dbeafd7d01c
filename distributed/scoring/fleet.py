"""How many scorers there are, which of them are up, and which can take a task.

A fleet starts with `least` scorers. Asked for more, up to `most`, it starts them whether the
cluster has a CPU for them or not: a scorer that waits for a CPU makes an autoscaler add a node. A
scorer that has been idle for `idle_s` is ended, so that its node can be removed. A task goes to the
least busy scorer, of these to the one on the oldest node: with less work, the newest nodes get
idle.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError

from sequence_tutor.distributed.scoring.task import Task

# Most tasks that a scorer has at a time, overdue ones included; each runs in its own thread.
MAX_TASKS = 16
# A task is overdue when a later task of its scorer is done first, or after OVERDUE_FACTOR times the
# expected seconds of all tasks that the scorer has, plus OVERDUE_MIN_S seconds.
OVERDUE_FACTOR, OVERDUE_MIN_S = 1.2, 0.25
# Seconds before a scorer that couldn't be reached is called again.
DOWN_S = 1.0
# Seconds for which more scorers must be wanted before they are started: a short burst starts none.
GROW_AFTER_S = 1.0
# Seconds between two checks for scorers that are up, overdue tasks and idle scorers.
LOOK_EVERY_S = 0.05


@dataclass
class Assignment:
    """A task that a scorer has."""

    task: Task
    """The task."""
    since: float
    """When it was handed out, seconds, monotonic."""
    overdue: bool = False
    """Whether it takes unusually long; then it doesn't count in the scorer's load."""


@dataclass
class ScorerSlot:
    """One scorer of a fleet."""

    process: ActorHandle
    """Handle of the scorer."""
    number: int
    """Number of the scorer, in the order of starts."""
    turn: int
    """Number of the scorer among those there are; that of an ended one is given again."""
    arriving: ray.ObjectRef | None
    """The call that is answered when the scorer is up; None while it is up."""
    node: int = 0
    """Number of its node, in the order in which nodes appeared."""
    not_before: float = 0.0
    """Time before which the answer of `arriving` is ignored, seconds, monotonic."""
    handed: dict[ray.ObjectRef, Assignment] = field(default_factory=dict)
    """Its tasks, by their calls."""
    load: int = 0
    """How many tasks it has that aren't overdue."""
    proven: bool = False
    """Whether it has done a task since it started."""
    idle_since: float = field(default_factory=time.monotonic)
    """When it last got a task done or lost, or was started, seconds, monotonic."""

    @property
    def up(self) -> bool:
        return self.arriving is None


class ScorerFleet:
    """The scorers of a run.

    start: starts a scorer, given a number from 0 that no other scorer has at present; its method
    `where` returns its node. least, most: bounds of how many there are. handed: most tasks of a
    scorer that aren't overdue. idle_s: seconds without work after which a scorer is ended.
    """

    def __init__(
        self, start: Callable[[int], ActorHandle], least: int, most: int, handed: int, idle_s: float
    ) -> None:
        self._start, self._least, self._most = start, least, most
        self.handed, self._idle_s, self._limit = handed, idle_s, handed
        self._nodes: dict[str, int] = {}
        self._started = 0
        self._slots: dict[int, ScorerSlot] = {}
        # For each load: the scorers that have it, as a heap of (node, number), and the set of their
        # numbers. Entries that have become wrong are dropped when they reach the top.
        self._heaps: list[list[tuple[int, int]]] = [[] for _ in range(handed)]
        self._listed: list[set[int]] = [set() for _ in range(handed)]
        self._short_since: float | None = None
        self._short_until = self._looked = time.monotonic()
        self._grow_to(least)

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def processes(self) -> list[ActorHandle]:
        return [slot.process for slot in self._slots.values()]

    @property
    def up(self) -> int:
        """How many scorers are up."""
        return sum(slot.up for slot in self._slots.values())

    @property
    def load(self) -> int:
        """How many tasks the scorers have that aren't overdue."""
        return sum(slot.load for slot in self._slots.values())

    def want(self, n: int) -> None:
        """There is work for n scorers; they are started if that holds for GROW_AFTER_S."""
        now, n = time.monotonic(), min(n, self._most)
        if n > self.up:
            self._short_until = now
        if n <= len(self._slots):
            self._short_since = None
        elif self._short_since is None:
            self._short_since = now
        elif now - self._short_since >= GROW_AFTER_S:
            self._grow_to(n)

    @property
    def limit(self) -> int:
        """Tasks, overdue ones left out, that a scorer may have at present, at most `handed`."""
        return self._limit

    @limit.setter
    def limit(self, tasks: int) -> None:
        if tasks != self._limit:
            self._limit = tasks
            for slot in self._slots.values():
                self._list_free(slot)

    def look(self, seconds_per_row: float) -> None:
        """Find scorers that have come up and tasks that are overdue (a row should take
        `seconds_per_row`), and end idle scorers. Raises RuntimeError where a scorer can't start."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        self._see_started(now)
        for slot in self._slots.values():
            if slot.load and slot.proven:  # the first task of a process may take long
                self._find_overdue(slot, now, seconds_per_row)
        self._end_idle(now)

    def free(self) -> ScorerSlot | None:
        """The scorer to hand the next task to; None where all are down or have `limit` tasks."""
        for load, (heap, listed) in enumerate(zip(self._heaps, self._listed, strict=True)):
            while heap:
                slot = self._slots.get(heap[0][1])
                if slot is not None and self._has_room(slot) and slot.load == load:
                    return slot
                listed.discard(heapq.heappop(heap)[1])
        return None

    def hand(self, slot: ScorerSlot, task: Task) -> ray.ObjectRef:
        """Hand a task to a scorer; returns the call."""
        call = task.send(slot.process)
        slot.handed[call] = Assignment(task, time.monotonic())
        slot.load += 1
        self._list_free(slot)
        return call

    def take_back(self, slot: ScorerSlot, call: ray.ObjectRef, done: bool) -> Assignment:
        """Take the task of a call that is done or lost."""
        handed = slot.handed.pop(call)
        if done:
            slot.proven = True
            for other in slot.handed.values():  # a scorer starts its tasks in the order of `since`
                if other.since < handed.since and not other.overdue:
                    self._mark_overdue(slot, other)
        if not handed.overdue:
            slot.load -= 1
        slot.idle_since = time.monotonic()
        self._list_free(slot)
        return handed

    def lost(self, slot: ScorerSlot) -> None:
        """Note that a scorer is down or can't be reached."""
        slot.proven = False
        if slot.up:
            slot.not_before = time.monotonic() + DOWN_S
            slot.arriving = _ask(slot.process)

    def kill(self) -> None:
        """End all scorers."""
        for slot in self._slots.values():
            ray.kill(slot.process)

    def _grow_to(self, n: int) -> None:
        self._short_since = None
        taken = {slot.turn for slot in self._slots.values()}
        free = (turn for turn in count() if turn not in taken)
        while len(self._slots) < n:
            turn = next(free)
            process = self._start(turn)
            slot = ScorerSlot(process, self._started, turn, _ask(process))
            self._slots[self._started] = slot
            self._started += 1

    def _see_started(self, now: float) -> None:
        """Note the scorers that have come up since the last check."""
        arriving = {
            slot.arriving: slot
            for slot in self._slots.values()
            if slot.arriving is not None and slot.not_before <= now
        }
        if not arriving:
            return
        for answer in ray.wait(list(arriving), num_returns=len(arriving), timeout=0)[0]:
            slot = arriving[answer]
            try:
                node = ray.get(answer)
            except RayActorError as error:
                check_start(error)
                slot.not_before, slot.arriving = now + DOWN_S, _ask(slot.process)
                continue
            slot.arriving = None
            slot.node = self._nodes.setdefault(node, len(self._nodes))
            self._list_free(slot)

    def _find_overdue(self, slot: ScorerSlot, now: float, seconds_per_row: float) -> None:
        in_time = [handed for handed in slot.handed.values() if not handed.overdue]
        expected_s = seconds_per_row * sum(handed.task.size for handed in in_time)
        for handed in in_time:
            if now - handed.since > OVERDUE_MIN_S + OVERDUE_FACTOR * expected_s:
                self._mark_overdue(slot, handed)

    def _mark_overdue(self, slot: ScorerSlot, handed: Assignment) -> None:
        """Count a task no more in its scorer's load."""
        handed.overdue = True
        slot.load -= 1
        self._list_free(slot)

    def _end_idle(self, now: float) -> None:
        """End idle scorers: first those that aren't up, then those on the newest nodes."""
        surplus = len(self._slots) - self._least
        if surplus < 1:
            return
        idle = [
            slot
            for slot in self._slots.values()
            if not slot.handed and now - max(slot.idle_since, self._short_until) > self._idle_s
        ]
        for slot in sorted(idle, key=lambda s: (s.up, -s.node, -s.number))[:surplus]:
            del self._slots[slot.number]
            ray.kill(slot.process)

    def _has_room(self, slot: ScorerSlot) -> bool:
        return slot.up and slot.load < self._limit and len(slot.handed) < MAX_TASKS

    def _list_free(self, slot: ScorerSlot) -> None:
        if self._has_room(slot) and slot.number not in self._listed[slot.load]:
            self._listed[slot.load].add(slot.number)
            heapq.heappush(self._heaps[slot.load], (slot.node, slot.number))


def check_start(error: Exception, what: str = "scorer") -> None:
    """Raises RuntimeError for a process that can't start: it would lose every task."""
    if getattr(error, "actor_init_failed", False):
        raise RuntimeError(f"a {what} can't start: {error}") from error


def _ask(process: ActorHandle) -> ray.ObjectRef:
    """A call that is answered, with the scorer's node, when the scorer is up."""
    return process.where.options(max_task_retries=-1).remote()
