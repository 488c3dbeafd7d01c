"""The cost of one more actor: 1 to 64 actors, each in its own process, on this machine.

    python benchmarks/actors.py

A small network, a reward that costs nothing and a learner with little to do, so that generating is
the work. "Cores" is the number of cores that the driver and Ray's own processes use; memory is that
of one actor alone. Batches have 256 episodes. The driver's time per sequence should not depend on
the number of actors.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import time
from pathlib import Path
from statistics import median

import psutil
from cheap import small_prior
from common import EXAMPLES, markdown, metrics_so_far, optimize_command
from processes import cpu_seconds, own_megabytes


def measure(prior: Path, out: Path, count: int, seconds: float) -> list[object]:
    shutil.rmtree(out, ignore_errors=True)
    settings = [
        f"prior={json.dumps(str(prior))}",
        'reward={component=[{name="molecular_weight"}]}',
        "replay.ratio=0.1",
        f"actors.count={count}",
        "actors.batch=256",
        "learner.threads=1",
        "stop.scores=10000000",
        "stop.seconds=100000",
    ]
    started = time.perf_counter()
    command = optimize_command(EXAMPLES / "molecules.toml", out, settings)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        process = psutil.Process(running.pid)
        try:
            while metrics_so_far(out).get("actors_alive", 0) < count or not metrics_so_far(out).get(
                "sequences"
            ):
                if running.poll() is not None:
                    raise RuntimeError(f"the run ended early; see {out}")
                time.sleep(1)
            ready = time.perf_counter() - started
            time.sleep(10)
            first, before = metrics_so_far(out), cpu_seconds(process)
            time.sleep(seconds)
            last, spent = metrics_so_far(out), cpu_seconds(process)
            memory = own_megabytes(process)["actor"]
        finally:
            running.terminate()
            running.wait()
    spent.subtract(before)
    rows = last["sequences"] - first["sequences"]
    rate = rows / (last["elapsed_s"] - first["elapsed_s"])
    return [
        count,
        f"{ready:.0f}",
        f"{rate:.0f}",
        f"{1e3 * spent['driver'] / max(rows, 1):.2f}",
        f"{spent['driver'] / seconds:.2f}",
        f"{spent['Ray itself'] / seconds:.2f}",
        f"{median(memory):.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-actors"))
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    prior = small_prior(options.out)
    table = []
    for count in options.actors:
        table.append(measure(prior, options.out / "run", count, options.seconds))
        print(table[-1], flush=True)
    names = ["actors", "s until all are up", "sequences/s", "driver, ms a sequence"]
    print(markdown([*names, "driver, cores", "Ray, cores", "MB an actor"], table))


if __name__ == "__main__":
    main()
