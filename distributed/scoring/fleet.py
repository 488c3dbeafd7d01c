"""How many scorers there are, which of them are up, and which has room.

A fleet starts with `least` scorers. Asked for more, up to `most`, it starts them whether the
cluster has a CPU for them or not: one that waits for its place is what makes an autoscaler add a
node. One that has had nothing to do for long is ended, so that its node may go. Work is given to
the least busy, and of those to the one on the node that has been there longest: when there is less
to do, it is the newest nodes that fall idle.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError

from sequence_tutor.distributed.scoring.task import Task

# How many tasks a scorer has at most, each in a thread of its own.
MAX_TASKS = 16
# A task takes unusually long when one that was handed out later is done, or after so many times
# what all that the scorer has should take, and these seconds.
OVERDUE_FACTOR, OVERDUE_MIN_S = 1.2, 0.25
# Seconds before a scorer that couldn't be reached is tried again.
DOWN_S = 1.0
# Seconds that more scorers must have been wanted before they are started: a burst needs none.
GROW_AFTER_S = 1.0
# Seconds between two looks at who is up, who takes long and who is idle.
LOOK_EVERY_S = 0.05


@dataclass
class Assignment:
    """A task that a scorer has, and since when (seconds, monotonic); overdue: it takes unusually
    long."""

    task: Task
    since: float
    overdue: bool = False


@dataclass
class ScorerSlot:
    """One scorer.

    node: its node's number, by the order in which nodes appeared. arriving: the call that is
    answered when it is up, None while it is; not_before: when to believe it (seconds, monotonic).
    load: tasks it has, but those that are overdue. proven: it has done something since it started.
    """

    process: ActorHandle
    number: int
    arriving: ray.ObjectRef | None
    node: int = 0
    not_before: float = 0.0
    handed: dict[ray.ObjectRef, Assignment] = field(default_factory=dict)
    load: int = 0
    proven: bool = False
    idle_since: float = field(default_factory=time.monotonic)

    @property
    def up(self) -> bool:
        return self.arriving is None


class ScorerFleet:
    """The scorers of a run.

    start: starts one; its method `where` tells its node. least, most: how many there are. handed:
    tasks that one has before others wait. idle_s: seconds without work after which one is ended.
    """

    def __init__(
        self, start: Callable[[], ActorHandle], least: int, most: int, handed: int, idle_s: float
    ) -> None:
        self._start, self._least, self._most = start, least, most
        self.handed, self._idle_s, self._limit = handed, idle_s, handed
        self._nodes: dict[str, int] = {}
        self._started = 0
        self._slots: dict[int, ScorerSlot] = {}
        # For each load the scorers that have it, as a heap of (node, number), and which are in it;
        # what is no longer true is skipped when it comes to the top.
        self._room: list[list[tuple[int, int]]] = [[] for _ in range(handed)]
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
        """Scorers that can be given work."""
        return sum(slot.up for slot in self._slots.values())

    @property
    def load(self) -> int:
        """Tasks they have, but those that are overdue."""
        return sum(slot.load for slot in self._slots.values())

    def want(self, n: int) -> None:
        """So many would have work; they're started if that stays true for a moment."""
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
        """Tasks that a scorer may have at the moment, at most `handed`."""
        return self._limit

    @limit.setter
    def limit(self, tasks: int) -> None:
        if tasks != self._limit:
            self._limit = tasks
            for slot in self._slots.values():
                self._list_free(slot)

    def look(self, seconds_per_row: float) -> None:
        """See who has come up, who takes unusually long (rows should take `seconds_per_row`), who
        isn't needed. Raises RuntimeError where a scorer can't start."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        self._see_started(now)
        for slot in self._slots.values():
            if slot.load and slot.proven:  # nothing is unusual in a process that only starts
                self._find_overdue(slot, now, seconds_per_row)
        self._end_idle(now)

    def free(self) -> ScorerSlot | None:
        """The scorer to hand a task to; None where all have enough or are down."""
        for load, (room, offered) in enumerate(zip(self._room, self._listed, strict=True)):
            while room:
                slot = self._slots.get(room[0][1])
                if slot is not None and self._has_room(slot) and slot.load == load:
                    return slot
                offered.discard(heapq.heappop(room)[1])
        return None

    def hand(self, slot: ScorerSlot, task: Task) -> ray.ObjectRef:
        """Give it a task; the call."""
        call = task.send(slot.process)
        slot.handed[call] = Assignment(task, time.monotonic())
        slot.load += 1
        self._list_free(slot)
        return call

    def take_back(self, slot: ScorerSlot, call: ray.ObjectRef, done: bool) -> Assignment:
        """The task of a call that is done or lost."""
        handed = slot.handed.pop(call)
        if done:
            slot.proven = True
            for other in slot.handed.values():  # a scorer begins its tasks in their order
                if other.since < handed.since and not other.overdue:
                    self._mark_overdue(slot, other)
        if not handed.overdue:
            slot.load -= 1
        slot.idle_since = time.monotonic()
        self._list_free(slot)
        return handed

    def lost(self, slot: ScorerSlot) -> None:
        """It isn't there, or can't be reached, at the moment."""
        slot.proven = False
        if slot.up:
            slot.not_before = time.monotonic() + DOWN_S
            slot.arriving = _ask(slot.process)

    def kill(self) -> None:
        """End all."""
        for slot in self._slots.values():
            ray.kill(slot.process)

    def _grow_to(self, n: int) -> None:
        self._short_since = None
        while len(self._slots) < n:
            process = self._start()
            self._slots[self._started] = ScorerSlot(process, self._started, _ask(process))
            self._started += 1

    def _see_started(self, now: float) -> None:
        """Those that have come up since the last look."""
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
        waited_for = [handed for handed in slot.handed.values() if not handed.overdue]
        expected_s = seconds_per_row * sum(handed.task.size for handed in waited_for)
        for handed in waited_for:
            if now - handed.since > OVERDUE_MIN_S + OVERDUE_FACTOR * expected_s:
                self._mark_overdue(slot, handed)

    def _mark_overdue(self, slot: ScorerSlot, handed: Assignment) -> None:
        """It holds nobody up any more."""
        handed.overdue = True
        slot.load -= 1
        self._list_free(slot)

    def _end_idle(self, now: float) -> None:
        """End idle scorers, those that never came up and those on the newest nodes first."""
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
            heapq.heappush(self._room[slot.load], (slot.node, slot.number))


def check_start(error: RayActorError) -> None:
    """Raises RuntimeError for a scorer that can't even start: it would lose every task."""
    if getattr(error, "actor_init_failed", False):
        raise RuntimeError(f"a scorer can't start: {error}") from error


def _ask(process: ActorHandle) -> ray.ObjectRef:
    """Answered, with its node, once the scorer is there."""
    return process.where.options(max_task_retries=-1).remote()
