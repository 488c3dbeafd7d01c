"""Seconds from the command to the first scored molecule, and CPU seconds by kind of process.

    python benchmarks/startup.py

Medians of the rounds, after a start that isn't counted: it compiles modules.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import median

import psutil
from common import EXAMPLES, markdown, optimize_command

from sequence_tutor.distributed.replay.record.writer import read_table

# each starts all parts of the one before it, and one more
STEPS = {
    "Python and the command line": "import sequence_tutor.distributed.commands.cli",
    "PyTorch and RLlib, and Ray's own processes beside them": (
        "from sequence_tutor.distributed.commands.optimize import HEAVY, import_in_background; "
        "thread = import_in_background(*HEAVY); import ray; "
        "ray.init(address='local', include_dashboard=False, log_to_driver=False); thread.join()"
    ),
}
REST = "actors, scorers and shards; the first molecules"
# the kind of a process by a text in its command line; all others are Ray's own
KINDS = {
    "ray::SequenceActor": "actor",
    "ray::_WrappedExecutable": "learner",
    "ray::IDLE": "learner",  # a worker before it has an actor
    "ray::ScorerProcess": "scorer",
    "ray::_ShardActor": "shards",
    "ray::WeightBoard": "board",
    "isolation/start.py": "reward",
    "sequence-tutor optimize": "driver",
}
LOOK_EVERY_S = 0.1


def timed(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def cpu_seconds(root: psutil.Process) -> dict[int, tuple[str, float]]:
    """Kind and CPU seconds of a process and all its descendants, by process id."""
    found = {}
    for process in (root, *root.children(recursive=True)):
        try:
            line, times = " ".join(process.cmdline()), process.cpu_times()
        except psutil.Error:  # the process has ended
            continue
        kind = next((kind for part, kind in KINDS.items() if part in line), "Ray's own")
        found[process.pid] = (kind, times.user + times.system)
    return found


def first_score(config: Path, out: Path) -> tuple[float, Counter[str]]:
    """Seconds from the command until the first molecule has its score, and the CPU seconds of each
    kind of process until then."""
    shutil.rmtree(out, ignore_errors=True)
    started = time.time()
    command = optimize_command(config, out, ["stop.scores=64"])
    run = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    looks: list[tuple[float, dict[int, tuple[str, float]]]] = [(started, {})]
    while run.poll() is None:
        try:
            looks.append((time.time(), looks[-1][1] | cpu_seconds(run)))
        except psutil.Error:
            continue
        time.sleep(LOOK_EVERY_S)
    at = read_table(out / "scores").column("scored_at").cast("int64").to_numpy().min() / 1e6
    cpu: Counter[str] = Counter()
    for kind, seconds in max(look for look in looks if look[0] <= at)[1].values():
        cpu[kind] += seconds
    return float(at - started), cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-startup"))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rounds = range(options.rounds)
    marks = [
        [timed([sys.executable, "-c", code]) for _ in range(options.rounds + 1)][1:]
        for code in STEPS.values()
    ]
    wholes = [first_score(EXAMPLES / "molecules.toml", options.out) for _ in rounds]
    times = [*map(median, marks), median(seconds for seconds, _ in wholes)]
    steps = [mark - before for before, mark in zip([0.0, *times], times, strict=False)]
    table = [[name, f"{step:.1f}"] for name, step in zip([*STEPS, REST], steps, strict=True)]
    print(markdown(["", "s"], [*table, ["to the first score", f"{times[-1]:.1f}"]]))
    kinds = sorted({kind for _, cpu in wholes for kind in cpu})
    spent = {kind: median(cpu[kind] for _, cpu in wholes) for kind in kinds}
    rows = [[kind, f"{seconds:.1f}"] for kind, seconds in spent.items()]
    print(markdown(["CPU seconds till then", ""], [*rows, ["all", f"{sum(spent.values()):.1f}"]]))


if __name__ == "__main__":
    main()
