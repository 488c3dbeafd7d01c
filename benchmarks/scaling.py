"""How scoring scales with the number of scorers, and where the driver saturates.

    python benchmarks/scaling.py rewards     1 to 64 scorers, rewards of 1 ms, 100 ms and 10 s
    python benchmarks/scaling.py driver      the driver with 1 to 1,000 simulated scorers

`rewards` is the whole system as `sequence-tutor score` runs it: scorers, isolated rewards, claims,
record. The reward sleeps, so that cores don't bind. Efficiency is seconds slept / (scorers x
seconds from the first sequence begun to the last one done).

`driver` is the real fleet and pool; in place of scorers there are a few Ray actors that answer for
a thousand and only wait, so what is measured is the driver's own work.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import ray
from common import markdown
from ray.actor import ActorHandle
from rich.console import Console

from sequence_tutor.distributed.bulk.run import score_file
from sequence_tutor.distributed.config import parse_config
from sequence_tutor.distributed.replay.record import read_table
from sequence_tutor.distributed.scoring import pool as pool_module
from sequence_tutor.distributed.scoring.fleet import ScorerFleet
from sequence_tutor.distributed.scoring.pool import ScorerPool

REWARDS_S = {"1 ms": 0.001, "100 ms": 0.1, "10 s": 10.0}
# Seconds that scoring should take in all, and rows for each scorer at least.
WORK_S, ROWS_EACH = 40.0, 4
SIMULATED = (1, 10, 100, 300, 1000)
HOSTS = 4


def alkanes() -> Iterator[str]:
    """Distinct molecules, without end: chains with a mark at two places. Short ones, since a
    canonical form takes longer than a millisecond for long ones."""
    length = 3
    while True:
        for first in range(1, length - 1):
            for second in range(1, length - first):
                last = length - first - second
                yield "C" * first + "(N)" + "C" * second + "(O)" + "C" * last
        length += 1


def measure(scorers: int, seconds: float, most_rows: int, out: Path) -> tuple[int, float, float]:
    """Rows, seconds it took, and the efficiency."""
    rows = min(most_rows, max(ROWS_EACH * scorers, round(WORK_S * scorers / seconds)))
    source = out / f"{scorers}-{seconds}.smi"
    molecules = alkanes()
    source.write_text("".join(f"{next(molecules)}\n" for _ in range(rows)))
    function = f"sleeping_rewards:for_{round(seconds * 1000)}_ms"
    run = parse_config(
        {
            "reward": {
                "timeout_s": 60,
                "waiting": 0,  # or a scorer would sleep for several at a time
                "component": [{"name": "python", "function": function}],
            },
            "scorers": {"count": scorers},
            "actors": {"batch": 4},
        }
    )
    result = out / f"{scorers}-{seconds}.csv"
    score_file(run, source, result, None, False, Console(file=sys.stderr))
    record = read_table(result.with_suffix(".record"))
    done = record.column("scored_at").cast("int64").to_numpy() / 1e6
    slept = record.column("seconds").to_numpy()
    took = done.max() - (done - slept).min()
    status = pq.read_table(result.with_suffix(".parquet"), columns=["status"])
    assert status.column("status").to_pylist() == ["ok"] * rows
    return rows, took, rows * seconds / (scorers * took)


def rewards(counts: list[int], names: list[str], out: Path) -> None:
    out.mkdir(parents=True)
    ray.init(
        address="local",
        num_cpus=max(counts) + 1,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    table = []
    for name in names:
        seconds = REWARDS_S[name]
        for scorers in counts:
            rows, took, efficiency = measure(scorers, seconds, 40_000, out)
            table.append(
                [name, scorers, f"{rows:,}", f"{took:.1f}", f"{rows / took:.1f}"]
                + [f"{efficiency:.1%}"]
            )
            print(table[-1], file=sys.stderr, flush=True)
    print(markdown(["reward", "scorers", "sequences", "s", "sequences/s", "efficiency"], table))


@dataclass
class Waited:
    """A simulated scorer's report."""

    rows: int
    seconds: float


class Waiting:
    """Answers for many scorers, and only waits."""

    def __init__(self) -> None:
        self.turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def where(self) -> str:
        return "here"

    async def wait(self, scorer: int, rows: int, seconds: float) -> Waited:
        async with self.turns[scorer]:  # one after the other, as in a scorer
            await asyncio.sleep(seconds)
        return Waited(rows, seconds)


@dataclass
class Simulated:
    """One of the scorers that a Ray actor answers for."""

    host: ActorHandle
    number: int

    @property
    def where(self) -> Any:
        return self.host.where


@dataclass
class Wait:
    """Sequences of 100 ms each."""

    rows: int
    allowance: int = 0
    attempts: int = 0

    @property
    def size(self) -> int:
        return self.rows

    def send(self, process: Simulated) -> ray.ObjectRef:
        return process.host.wait.remote(process.number, self.rows, self.rows * 0.1)

    def split(self, n: int) -> tuple[Wait, Wait]:
        return Wait(n), Wait(self.rows - n)


def drive(hosts: list[ActorHandle], scorers: int, tasks_per_s: float, seconds: float) -> list[str]:
    """The driver's share of a core, and how busy it keeps the scorers."""
    pool_module.TASKS_PER_S = tasks_per_s
    simulated = (Simulated(hosts[i % len(hosts)], i) for i in count())
    fleet = ScorerFleet(lambda: next(simulated), scorers, scorers, handed=2, idle_s=60)
    pool: ScorerPool[Waited] = ScorerPool(fleet, first=10)
    while fleet.up < scorers:
        fleet.look(0.0)
        time.sleep(0.05)
    started = cpu = 0.0
    tasks, slept = 0, 0.0
    warm_until = time.monotonic() + 3 + 3 * max(1.0, scorers / tasks_per_s)
    while True:
        now = time.monotonic()
        if not started and now > warm_until:
            started, cpu, tasks, slept = now, _cpu_s(), 0, 0.0
        if started and now > started + seconds:
            break
        while not pool.full:
            pool.put(Wait(1024))
        pool.dispatch()
        for report in pool.collect(0.05):
            tasks += 1
            slept += report.seconds
    took = time.monotonic() - started
    row = [f"{scorers:,}", f"{pool.batch_size.target_s:.1f}", f"{tasks / took:.0f}"]
    row += [f"{(_cpu_s() - cpu) / took:.1%}", f"{slept / (scorers * took):.1%}"]
    return row


def _cpu_s() -> float:
    """This process's, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def driver(seconds: float) -> None:
    ray.init(
        address="local",
        num_cpus=HOSTS,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    host = ray.remote(Waiting).options(num_cpus=0, max_concurrency=2000)
    hosts = [host.remote() for _ in range(HOSTS)]
    usual = pool_module.TASKS_PER_S
    table = []
    for tasks_per_s in (np.inf, usual):
        for scorers in SIMULATED:
            if tasks_per_s == usual and scorers <= usual:
                continue  # the same as without a limit
            table.append(drive(hosts, scorers, tasks_per_s, seconds))
            print(table[-1], file=sys.stderr, flush=True)
    print(markdown(["scorers", "s a task", "tasks/s", "driver's CPU", "scorers busy"], table))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["rewards", "driver"])
    parser.add_argument("--scorers", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--rewards", nargs="+", choices=list(REWARDS_S), default=list(REWARDS_S))
    parser.add_argument("--seconds", type=float, default=20.0, help="of `driver`, a row")
    parser.add_argument("--out", type=Path, default=Path("runs/scaling"))
    arguments = parser.parse_args()
    if arguments.what == "rewards":
        sys.path.append(str(Path(__file__).parent))
        rewards(arguments.scorers, arguments.rewards, arguments.out)
    else:
        driver(arguments.seconds)


if __name__ == "__main__":
    main()
