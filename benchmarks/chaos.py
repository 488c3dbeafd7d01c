"""Faults made on purpose, and the scores that they lose or repeat.

    python benchmarks/chaos.py rewards --molecules FILE    a reward with every kind of fault
    python benchmarks/chaos.py kills                       random kills of all kinds of processes
    python benchmarks/chaos.py kills --search              the same with a proposer and a screen
    python benchmarks/chaos.py driver                      kill -9 of the driver, and resume

The reward counts its own calls in a file outside the system. The exit code is 1 if a score was lost
or a sequence was scored twice.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from chaos_counts import Counts, report_losses
from chaos_rewards import COUNTER, FAULTS, STATUS, fault_of, key_of
from common import markdown

from sequence_tutor.distributed.replay.record.writer import read_table

HERE = Path(__file__).resolve().parent
REWARD = """
[reward]
timeout_s = {timeout}
memory_mb = 128
[[reward.component]]
name = "python"
function = "chaos_rewards:{function}"
"""
RUN = """
[learner]
threads = 1
[replay]
shards = 4
ratio = 1
flush_s = 5
lease_s = 5
"""
# What `kills --search` adds, after the table of the actors. Small batches, as all that is proposed
# before the screen begins is scored.
SEARCH = """
batch = 16
[proposers.genetic]
batch = 32
[screen]
batch = 16
start = 48
children = 32
"""
# Seconds that a score may take.
TIMEOUT_S = 2.0
KINDS = ("actor", "scorer", "reward", "shard", "node")


def rewards(
    molecules: Path, rows: int, scorers: int, out: Path, baseline: bool, timeout_s: float
) -> bool:
    """One molecule in a hundred has each fault; the good ones must be scored exactly once.
    baseline: whether to compare with a reward without faults; timeout_s: the reward's."""
    import gzip

    out.mkdir(parents=True)
    opener: Callable[..., Any] = gzip.open if molecules.suffix == ".gz" else open
    chosen: dict[str, str] = {}
    with opener(molecules, "rt") as lines:
        for line in lines:
            smiles = line.split()[0]
            chosen.setdefault(key_of(smiles), smiles)
            if len(chosen) == rows:
                break
    file = out / "molecules.smi"
    file.write_text("".join(f"{s}\n" for s in chosen.values()))
    functions = ("dear", "bad") if baseline else ("bad",)
    rate = {name: rows / _score(name, file, scorers, out, timeout_s) for name in functions}
    table = pq.read_table(out / "bad.parquet")
    found = dict(zip(table["key"].to_pylist(), table["status"].to_pylist(), strict=True))
    counts = Counts.read(out / "bad.counter")
    by_fault: dict[str | None, list[str]] = {}
    for key in chosen:
        by_fault.setdefault(fault_of(key), []).append(key)
    lines_, held = [], True
    for fault in (None, *FAULTS):
        keys = by_fault.get(fault, [])
        status = Counter(found[k] for k in keys)
        expected = STATUS.get(fault, "ok") if fault else "ok"
        calls = Counter(len(counts.start.get(k, [])) for k in keys)
        right = status[expected] == len(keys)
        # one that ran out of memory after others may get a second attempt in a new process
        held &= right and set(calls) <= ({1, 2} if fault == "memory" else {1})
        lines_.append(
            [
                fault or "good",
                len(keys),
                dict(status),
                "yes" if right else "NO",
                "once" if set(calls) == {1} else dict(calls),
            ]
        )
    print(markdown(["molecules", "number", "status", "as it should", "scored"], lines_))
    if baseline:
        print(f"\nall good: {rate['dear']:.1f} molecules/s; with the bad ones: {rate['bad']:.1f}/s")
        print(f"throughput falls by {1 - rate['bad'] / rate['dear']:.1%}")
    return held


def _score(function: str, file: Path, scorers: int, out: Path, timeout_s: float) -> float:
    """Seconds of `sequence-tutor score` from its start to the finished table."""
    config = out / f"{function}.toml"
    reward = REWARD.format(function=function, timeout=timeout_s)
    config.write_text(f"[scorers]\ncount = {scorers}\n" + reward)
    environment = os.environ | {COUNTER: str(out / f"{function}.counter")}
    command = ["sequence-tutor", "score", str(config), str(file), "--out", str(out / function)]
    print("#", " ".join(command), file=sys.stderr, flush=True)
    started = time.monotonic()
    subprocess.run(command, check=True, cwd=HERE, env=environment, stdout=sys.stderr)
    return time.monotonic() - started


# -- kills ----------------------------------------------------------------------


def kills(
    number: int, every_s: float, budget: int, prior: str, out: Path, seed: int, search: bool
) -> bool:
    """Kill actors, scorers, reward processes, shards and whole nodes at random during a run.
    search: whether it has a proposer and a screen, which are killed too."""
    out.mkdir(parents=True)
    os.environ[COUNTER] = str(out / "counter")
    os.environ["RAY_AUTH_MODE"] = "disabled"
    import ray
    from ray.cluster_utils import Cluster

    from sequence_tutor.distributed.algorithm_config import SequenceTutorConfig
    from sequence_tutor.distributed.config_file import load_config

    config = out / "run.toml"
    config.write_text(
        f"prior = {prior!r}\n[stop]\nscores = {budget}\n[actors]\ncount = 2\n"
        + (SEARCH if search else "")
        + "[scorers]\ncount = 2\n"
        + RUN
        + REWARD.format(function="dear", timeout=TIMEOUT_S)
    )
    run = load_config(config)
    os.chdir(HERE)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    nodes = [cluster.add_node(num_cpus=2) for _ in range(4 if search else 3)]
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    algorithm = SequenceTutorConfig().tutor(run, out).build_algo()
    kinds = KINDS + (("proposer", "screen") if search else ())
    monkey = Monkey(algorithm, cluster, nodes, random.Random(seed), every_s, kinds)
    try:
        while not algorithm.learners_are_there():
            time.sleep(0.1)
        started = time.monotonic()
        last = 0.0
        while not algorithm.out_of_budget():
            algorithm.train()
            if sum(monkey.killed.values()) < number:
                monkey.maybe()
            if time.monotonic() - last > 10:
                last = time.monotonic()
                print(f"# {algorithm.last_metrics}", file=sys.stderr, flush=True)
        algorithm.drain()
        used = algorithm.tally.scores_used
        seconds = time.monotonic() - started
        retried, lost = algorithm.scorers.retried, algorithm.scorers.lost
        sources = algorithm.last_metrics.sources
    finally:
        algorithm.stop()
        ray.shutdown()
        cluster.shutdown()
    print(markdown(["killed", "times"], [[k, n] for k, n in sorted(monkey.killed.items())]))
    print(f"\n{used} of {budget} scores in {seconds:.0f} s; {retried} slices handed out again, ")
    print(f"{lost} lost with the actor that made them")
    if search:
        print("scored: " + ", ".join(f"{n.scored} of {name}" for name, n in sources.items()))
        print(f"screened out: {sum(counts.screened_out for counts in sources.values())}")
    held = report_losses(out / "counter", out / "scores", monkey.times, run.replay.flush_s)
    screened = sum(counts.screened_out for counts in sources.values())
    searched = not search or bool(screened and sources["genetic"].proposed)
    return held and used == budget and bool(monkey.killed) and searched


@dataclass
class Monkey:
    """Kills a random process or node, but not the learner's node, without which a run ends."""

    algorithm: Any
    cluster: Any
    nodes: list[Any]
    dice: random.Random
    every_s: float
    kinds: tuple[str, ...]
    killed: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    due: float = 0.0

    def maybe(self) -> None:
        """Kill a process or node if one is due."""
        import ray

        if time.monotonic() < self.due:
            return
        self.due = time.monotonic() + self.dice.expovariate(1 / self.every_s)
        kind = self.dice.choice(self.kinds)
        if kind == "node":
            kept = self.algorithm.learning.each(lambda _: ray.get_runtime_context().get_node_id())
            node = self.dice.choice([n for n in self.nodes if n.node_id not in kept])
            self.times.append(time.time())
            self.cluster.remove_node(node, allow_graceful=False)
            self.nodes.remove(node)
            self.nodes.append(self.cluster.add_node(num_cpus=2))
        elif kind == "reward":
            if not (victims := _reward_processes()):
                return
            self.times.append(time.time())
            os.kill(self.dice.choice(victims), signal.SIGKILL)
        else:
            self.times.append(time.time())
            ray.kill(self.dice.choice(self._handles(kind)), no_restart=False)
        self.killed[kind] += 1

    def _handles(self, kind: str) -> list[Any]:
        manager, search = self.algorithm.env_runner_group._worker_manager, self.algorithm.search
        return {
            "actor": lambda: list(manager.actors().values()),
            "scorer": lambda: self.algorithm.scorers.fleet.processes,
            "shard": lambda: self.algorithm.shards,
            "proposer": lambda: search.processes[: search.gauges()["proposers_up"]],
            "screen": lambda: search.processes[search.gauges()["proposers_up"] :],
        }[kind]()


def _reward_processes() -> list[int]:
    """Templates and children of this machine's reward processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"rewards/isolation" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


# -- the driver -----------------------------------------------------------------


def driver(times: int, budget: int, prior: str, out: Path, seed: int) -> bool:
    """kill -9 of the driver at a random moment, then --resume; the rows on record must stay."""
    out.mkdir(parents=True)
    dice = random.Random(seed)
    environment = os.environ | {COUNTER: str(out / "counter")}
    environment.pop("RAY_ADDRESS", None)
    config = out / "run.toml"
    checkpoints = "[checkpoint]\nseconds = 5\n"
    config.write_text(
        f"prior = {prior!r}\n[stop]\nscores = {budget}\n"
        + checkpoints
        + RUN
        + REWARD.format(function="dear", timeout=TIMEOUT_S)
    )
    run = out / "run"
    command = ["sequence-tutor", "optimize", str(config), "--out", str(run)]
    committed: set[str] = set()
    kills_at, rows, held = [], [], True
    for attempt in range(times + 1):
        resume = ["--resume"] if (run / "config.toml").is_file() else []
        print("#", " ".join(command + resume), file=sys.stderr, flush=True)
        process = subprocess.Popen(
            command + resume, cwd=HERE, env=environment, stdout=sys.stderr, start_new_session=True
        )
        if attempt < times:
            before = len(committed)
            while not _news(run, before) and process.poll() is None:
                time.sleep(0.2)
            time.sleep(dice.uniform(0, 8))
            process.kill()
            kills_at.append(time.time())
        code = process.wait()
        time.sleep(2)  # wait while the driver's processes end
        found = set(read_table(run / "scores")["key"].to_pylist())
        rows.append([attempt + 1, code, len(committed), len(found), len(committed - found)])
        held &= committed <= found
        committed |= found
    print(markdown(["start", "exit code", "on record before", "after", "lost"], rows))
    # after top.csv comes the summary, which scores samples of its own
    until = (run / "top.csv").stat().st_mtime
    unharmed = report_losses(out / "counter", run / "scores", kills_at, 5.0, until)
    return unharmed and held and code == 0


def _news(run: Path, before: int) -> bool:
    """Whether the record has grown."""
    try:
        return len(read_table(run / "scores")) > before
    except Exception:  # not there yet
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["rewards", "kills", "driver"])
    parser.add_argument("--out", type=Path, default=Path("runs/chaos"))
    parser.add_argument("--molecules", type=Path, help="SMILES, one per line; of rewards")
    parser.add_argument("--rows", type=int, default=20_000, help="molecules of rewards")
    parser.add_argument("--scorers", type=int, default=2, help="of rewards")
    parser.add_argument(
        "--baseline",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare the throughput of rewards with that of good ones",
    )
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S, help="seconds; of rewards")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument(
        "--every", type=float, default=3.0, help="seconds between kills, in the mean"
    )
    parser.add_argument("--search", action="store_true", help="kills: with proposer and screen")
    parser.add_argument("--times", type=int, default=10, help="kills of the driver")
    parser.add_argument("--budget", type=int, default=4000)
    parser.add_argument("--prior", default="zinc250k")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    out = given.out.resolve() / given.part
    if given.part == "rewards":
        if given.molecules is None:
            parser.error("rewards needs --molecules")
        molecules = given.molecules.resolve()
        held = rewards(molecules, given.rows, given.scorers, out, given.baseline, given.timeout)
    elif given.part == "kills":
        settings = given.kills, given.every, given.budget, given.prior, out, given.seed
        held = kills(*settings, given.search)
    else:
        held = driver(given.times, given.budget, given.prior, out, given.seed)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
