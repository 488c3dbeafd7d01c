"""The number of scorers and the order of their tasks, with Ray actors that only sleep."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import ray
from ray.actor import ActorHandle

from sequence_tutor.distributed.scoring import fleet as module
from sequence_tutor.distributed.scoring import pool as pool_module
from sequence_tutor.distributed.scoring.fleet import ScorerFleet
from sequence_tutor.distributed.scoring.pool import ScorerPool

IDLE_S = 1.0


@dataclass
class Slept:
    rows: int
    seconds: float
    name: str


class Sleeper:
    """A fake scorer with a given node, so that tests may have any number of nodes."""

    def __init__(self, node: str) -> None:
        self.node = node

    def where(self) -> str:
        return self.node

    def sleep(self, rows: int, seconds: float) -> Slept:
        time.sleep(seconds)
        return Slept(rows, seconds, self.node)


@dataclass
class Nap:
    rows: int
    seconds_each: float
    allowance: int = 0
    attempts: int = 0

    @property
    def size(self) -> int:
        return self.rows

    def send(self, process: ActorHandle) -> ray.ObjectRef:
        return process.sleep.remote(self.rows, self.rows * self.seconds_each)

    def split(self, n: int) -> tuple[Nap, Nap]:
        return Nap(n, self.seconds_each), Nap(self.rows - n, self.seconds_each)


@pytest.fixture
def sleepers(local_ray: None) -> Iterator[Callable[..., ScorerFleet]]:
    """Makes fleets whose i-th scorer is on nodes[i]."""
    made: list[ScorerFleet] = []

    def make(least: int, most: int, nodes: str = "aaaaaaaa", cpus: float = 0) -> ScorerFleet:
        names = iter(nodes)
        actor = ray.remote(Sleeper).options(num_cpus=cpus, max_restarts=-1, max_concurrency=16)
        fleet = ScorerFleet(
            lambda _: actor.remote(next(names)), least, most, handed=2, idle_s=IDLE_S
        )
        made.append(fleet)
        return fleet

    yield make
    for fleet in made:
        fleet.kill()


def wait_for(fleet: ScorerFleet, done: Callable[[], bool], want: int = 0) -> None:
    deadline = time.monotonic() + 240
    while not done():
        assert time.monotonic() < deadline, (len(fleet), fleet.up)
        fleet.want(want)
        fleet.look(0.0)
        time.sleep(0.02)


def run_all(pool: ScorerPool[Slept], until: Callable[[], bool]) -> list[Slept]:
    reports: list[Slept] = []
    deadline = time.monotonic() + 240
    while not until():
        assert time.monotonic() < deadline
        pool.dispatch()
        reports += pool.collect(0.05)
    return reports


def test_only_a_lasting_demand_starts_scorers(sleepers: Any):
    fleet = sleepers(1, 3)
    wait_for(fleet, lambda: fleet.up == 1)
    fleet.want(5)
    fleet.want(0)
    time.sleep(module.GROW_AFTER_S)
    fleet.want(5)  # a new demand, which hasn't lasted yet
    assert len(fleet) == 1
    wait_for(fleet, lambda: fleet.up == 3, want=5)
    assert len(fleet) == 3  # and not 5: that's the most


def test_idle_scorers_on_the_newest_node_end_first(sleepers: Any):
    fleet = sleepers(1, 4, nodes="abca")
    wait_for(fleet, lambda: fleet.up == 4, want=4)
    nodes = [ray.get(p.where.remote()) for p in fleet.processes]
    assert sorted(nodes) == ["a", "a", "b", "c"]
    order = [slot.node for slot in fleet._slots.values()]
    busy = fleet.free()
    fleet.hand(busy, Nap(1, 30.0))  # a busy scorer stays
    assert busy.node == 0
    wait_for(fleet, lambda: len(fleet) == 1)
    assert fleet._slots == {busy.number: busy} and max(order) == 2


def test_the_number_of_an_ended_scorer_is_given_again(monkeypatch: pytest.MonkeyPatch):
    """Scorers that take turns by their numbers have all turns, and no two have the same."""
    monkeypatch.setattr(module, "_ask", lambda process: None)
    monkeypatch.setattr(module.ray, "kill", lambda process: None)
    given: list[int] = []
    fleet = ScorerFleet(given.append, least=1, most=5, handed=2, idle_s=IDLE_S)  # type: ignore[arg-type]
    fleet._grow_to(4)
    fleet._slots[2].handed[object()] = object()  # type: ignore[index,assignment]
    fleet._end_idle(math.inf)
    assert [slot.turn for slot in fleet._slots.values()] == [2]
    fleet._grow_to(4)
    assert given == [0, 1, 2, 3, 0, 1, 3]


def test_pending_scorers_get_no_tasks_and_end_first(sleepers: Any):
    fleet = sleepers(1, 3, cpus=5)  # of the 8 there are
    wait_for(fleet, lambda: fleet.up == 1 and len(fleet) == 3, want=3)
    pool: ScorerPool[Slept] = ScorerPool(fleet, first=1)
    for _ in range(4):
        pool.put(Nap(1, 0.01))
    assert len(run_all(pool, lambda: not pool.tasks)) == 4  # no task waits for pending scorers
    assert (len(fleet), fleet.up) == (3, 1)
    for _ in range(100):
        pool.put(Nap(1, 0.03))
    run_all(pool, lambda: len(fleet) == 1)
    assert fleet.up == 1


def test_tasks_go_to_the_least_busy_on_the_oldest_node(sleepers: Any):
    fleet = sleepers(3, 3, nodes="aba")
    wait_for(fleet, lambda: fleet.up == 3)
    on_a = [s.number for s in fleet._slots.values() if s.node == 0]
    order = []
    while (slot := fleet.free()) is not None:
        order.append(slot.number)
        fleet.hand(slot, Nap(1, 5.0))
    assert len(order) == 6  # two each
    (last,) = set(range(3)) - set(on_a) if len(on_a) == 2 else {order[2]}
    assert sorted(order[:3]) == [0, 1, 2] and order[:3] == order[3:]
    assert order[2] == last


def test_overdue_tasks_do_not_block_other_tasks(sleepers: Any):
    fleet = sleepers(1, 1)
    pool: ScorerPool[Slept] = ScorerPool(fleet, first=1)
    pool.put(Nap(1, 0.01))
    run_all(pool, lambda: not pool.tasks)
    for _ in range(2):
        pool.put(Nap(1, 60.0))  # as many as a scorer has at a time
    for _ in range(5):
        pool.put(Nap(1, 0.01))
    started = time.monotonic()
    assert len(run_all(pool, lambda: pool.tasks == 2)) == 5
    assert time.monotonic() - started < 40
    assert (pool.scoring, pool.waiting) == (2, 0)


def test_a_restarted_scorer_gets_its_tasks_again(sleepers: Any):
    fleet = sleepers(1, 1)
    pool: ScorerPool[Slept] = ScorerPool(fleet, first=8)
    wait_for(fleet, lambda: fleet.up == 1)
    for _ in range(4):
        pool.put(Nap(2, 0.2))
    pool.dispatch()
    ray.kill(fleet.processes[0], no_restart=False)
    reports = run_all(pool, lambda: not pool.tasks)
    assert sum(r.rows for r in reports) == 8  # whole or in halves
    assert pool.retried >= 1 and pool.lost == 0
    assert (pool.scoring, pool.waiting, pool._allowed) == (0, 0, 0)


def test_allowances_under_way_stay_within_the_budget(sleepers: Any):
    fleet = sleepers(2, 2)
    pool: ScorerPool[Slept] = ScorerPool(fleet, first=4)
    wait_for(fleet, lambda: fleet.up == 2)
    for _ in range(4):
        pool.put(Nap(4, 0.5))
    pool.dispatch(budget=6)
    handed = [h.task.allowance for s in fleet._slots.values() for h in s.handed.values()]
    assert handed == [4, 2]
    assert pool.waiting == 8


@pytest.mark.parametrize(("nap_s", "most"), [(0.3, 1), (0.001, 2)])
def test_no_task_waits_behind_a_long_one(sleepers: Any, monkeypatch, nap_s: float, most: int):
    monkeypatch.setattr(pool_module, "LONG_TASK_S", 0.1)
    monkeypatch.setattr(pool_module, "TASK_S", 0.02)
    fleet = sleepers(2, 2)
    pool: ScorerPool[Slept] = ScorerPool(fleet)
    wait_for(fleet, lambda: fleet.up == 2)
    for _ in range(8):
        pool.put(Nap(1, nap_s))
    pool.dispatch()  # durations are unknown yet
    assert sorted(len(slot.handed) for slot in fleet._slots.values()) == [1, 1]
    loads = []
    while pool.tasks:
        pool.collect(1.0)
        pool.dispatch()
        # a task overtaken by a later one is overdue and doesn't count
        loads.append(max(slot.load for slot in fleet._slots.values()))
    assert max(loads) == most
