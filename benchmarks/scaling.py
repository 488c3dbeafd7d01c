"""How scoring scales with the number of scorers, and where the driver saturates.

    python benchmarks/scaling.py rewards     1 to 64 scorers, rewards of 1 ms, 100 ms and 10 s
    python benchmarks/scaling.py driver      the driver with 1 to 1,000 simulated scorers

`rewards` is the whole system as `sequence-tutor score` runs it: fleet, pool, tasks, scorers,
claims, record. The reward sleeps, so that cores are no limit. A few processes host all scorers, as
64 idle processes would use two cores; each scorer scores one sequence at a time in its host's
process. With `--real` each scorer has a process with an isolated reward, as in a run. Efficiency is
seconds slept / (scorers x seconds), from the start of the last scorer until the last sequence is
done: on machines of their own the scorers would start at the same time.

`driver` is the real fleet and pool; instead of scorers a few Ray actors answer for a thousand
scorers and only wait, so that the driver's own work is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
from cheap import molecules
from common import markdown
from ray.actor import ActorHandle
from rich.console import Console

from sequence_tutor.distributed.commands import score_file as bulk_run
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import parse_config
from sequence_tutor.distributed.replay.record.writer import read_table
from sequence_tutor.distributed.scoring import pool as pool_module
from sequence_tutor.distributed.scoring import process as process_module
from sequence_tutor.distributed.scoring.attachments import AttachmentStore
from sequence_tutor.distributed.scoring.fleet import ScorerFleet
from sequence_tutor.distributed.scoring.pool import ScorerPool
from sequence_tutor.distributed.scoring.process import LinesReport, ScorerProcess
from sequence_tutor.distributed.weight_board import packed
from sequence_tutor.rewards.base import Scores
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig

REWARDS_S = {"1 ms": 0.001, "100 ms": 0.1, "10 s": 10.0}
# Seconds that scoring should take, more for each scorer since they start one after the other here;
# and rows for each scorer at least, in all at most.
WORK_S, STARTING_S, ROWS_EACH, MOST_ROWS = 40.0, 2.5, 4, 150_000
SIMULATED = (1, 10, 100, 300, 1000)
HOSTS = 4


class OneAtATime:
    """A reward in the scorer's own process."""

    def __init__(self, config: RewardConfig, *_: Any) -> None:
        self._reward, self._turn = build_reward(config), threading.Lock()

    def score(self, *batch: Any) -> Scores:
        with self._turn:
            started = time.perf_counter()
            scores = self._reward.score(*batch)
        each = (time.perf_counter() - started) / len(scores.rewards)
        return replace(scores, seconds=np.full(len(scores.rewards), each, np.float32))


class ScorersHost:
    """A process that hosts some scorers, real except for their reward."""

    def __init__(self, run: RunConfig, shards: list[ActorHandle]) -> None:
        process_module.IsolatedReward = OneAtATime  # type: ignore[attr-defined]
        self.start, self.lock = (
            lambda: ScorerProcess(run, packed(shards), "", AttachmentStore(".")),
            threading.Lock(),
        )
        self.scorers: dict[int, ScorerProcess] = {}

    def where(self) -> str:
        return "here"

    def score_lines(self, number: int, *task: Any) -> LinesReport:
        with self.lock:
            if number not in self.scorers:
                self.scorers[number] = self.start()
        return self.scorers[number].score_lines(*task)


class LocalFleet(ScorerFleet):
    def kill(self) -> None:
        for host in {seat.process.host for seat in self._seats.values()}:
            ray.kill(host)


def hosted(
    run: RunConfig, shards: list[ActorHandle], least: int, most: int, handed: int
) -> ScorerFleet:
    """Replaces `start_scorers`."""
    actor = ray.remote(ScorersHost).options(max_concurrency=1 + handed * most)
    hosts = [actor.remote(run, shards) for _ in range(min(HOSTS, most))]
    simulated = (Simulated(hosts[i % len(hosts)], i) for i in count())
    return LocalFleet(lambda _: next(simulated), least, most, handed, 60.0)


def measure(scorers: int, seconds: float, out: Path) -> tuple[int, float, float]:
    """Rows, seconds, and the efficiency."""
    work_s = WORK_S + (STARTING_S * scorers if bulk_run.start_scorers is not hosted else 0)
    rows = min(MOST_ROWS, max(ROWS_EACH * scorers, round(work_s * scorers / seconds)))
    source = out / f"{scorers}-{seconds}.smi"
    source.write_text("".join(f"{text}\n" for text in islice(molecules(), rows)))
    function = f"sleeping_rewards:for_{round(seconds * 1000)}_ms"
    run = parse_config(
        {
            "reward": {
                "timeout_s": 60,
                "waiting": 0,  # a scorer must not sleep for several sequences at a time
                "component": [{"name": "python", "function": function}],
            },
            "scorers": {"count": scorers},
        }
    )
    result = out / f"{scorers}-{seconds}.csv"
    bulk_run.score_file(run, source, result, None, False, Console(file=sys.stderr))
    status = pq.read_table(result.with_suffix(".parquet"), columns=["status"])
    assert status.column("status").to_pylist() == ["ok"] * rows
    slept, took = busy(read_table(result.with_suffix(".record")), seconds)
    return rows, took, slept / (scorers * took)


def busy(record: pa.Table, each: float) -> tuple[float, float]:
    """Seconds slept, and seconds, from when the last scorer has begun to the end; `each` is slept
    for a sequence."""
    tasks = record.group_by(["actor", "scored_at"]).aggregate([("key", "count")])
    ends = tasks.column("scored_at").cast("int64").to_numpy() / 1e6
    begins = ends - each * tasks.column("key_count").to_numpy()
    scorers = np.array(tasks.column("actor").to_pylist())
    start = max(begins[scorers == one].min() for one in set(scorers))
    slept = ends - np.maximum(begins, start)
    return float(slept[slept > 0].sum()), float(ends.max() - start)


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
            rows, took, efficiency = measure(scorers, seconds, out)
            table.append([name, scorers, f"{rows:,}", f"{took:.1f}"] + [f"{efficiency:.1%}"])
            print(table[-1], file=sys.stderr, flush=True)
    print(markdown(["reward", "scorers", "sequences", "s with all of them", "efficiency"], table))


@dataclass
class Waited:
    """A simulated scorer's report."""

    rows: int
    seconds: float


class Waiting:
    """A Ray actor that answers for many scorers and only waits."""

    def __init__(self) -> None:
        self.turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def where(self) -> str:
        return "here"

    async def wait(self, scorer: int, rows: int, seconds: float) -> Waited:
        async with self.turns[scorer]:  # one task after the other, as in a scorer
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

    @property
    def score_lines(self) -> Any:
        """A method like that of an actor handle: `.remote(...)` calls it."""
        return SimpleNamespace(remote=partial(self.host.score_lines.remote, self.number))


@dataclass
class Wait:
    """A task of sequences that take 100 ms each."""

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
    """The driver's share of a core, and the share of time that the scorers are busy."""
    pool_module.TASKS_PER_S = tasks_per_s
    simulated = (Simulated(hosts[i % len(hosts)], i) for i in count())
    fleet = ScorerFleet(lambda _: next(simulated), scorers, scorers, handed=2, idle_s=60)
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
    """CPU seconds of all threads of this process."""
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
    parser.add_argument("--real", action="store_true", help="a process for each scorer")
    parser.add_argument("--seconds", type=float, default=20.0, help="of `driver`, a row")
    parser.add_argument("--out", type=Path, default=Path("runs/scaling"))
    arguments = parser.parse_args()
    if arguments.what == "rewards":
        sys.path.append(str(Path(__file__).parent))
        if not arguments.real:
            bulk_run.start_scorers = hosted  # type: ignore[assignment]
        rewards(arguments.scorers, arguments.rewards, arguments.out)
    else:
        driver(arguments.seconds)


if __name__ == "__main__":
    main()
