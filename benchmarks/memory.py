"""Memory of each process of a long run, from start to end.

    python benchmarks/memory.py

100,000 updates of a small prior that is trained first; the record grows all the time. Shows the
memory that is the process's own (USS), in MB; the largest process of each kind.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import time
from pathlib import Path

import psutil
from cheap import small_prior
from common import EXAMPLES, markdown, metrics_so_far, optimize_command
from processes import own_megabytes

KINDS = ("actor", "learner", "scorer", "reward", "shard", "driver")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-memory"))
    parser.add_argument("--updates", type=int, default=100_000)
    options = parser.parse_args()
    prior = small_prior(options.out)
    run = options.out / "run"
    shutil.rmtree(run, ignore_errors=True)
    settings = [
        f"prior={json.dumps(str(prior))}",
        "learner.batch=16",
        "learner.updates_per_call=64",
        "learner.threads=1",
        "replay.ratio=16",
        "replay.memory_rows=10000",
        "stop.scores=10000000",
        f"stop.updates={options.updates}",
    ]
    command = optimize_command(EXAMPLES / "molecules.toml", run, settings)
    marks = [options.updates * i // 10 for i in (1, 2, 4, 6, 8)] + [options.updates * 98 // 100]
    table: list[list[object]] = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        process = psutil.Process(running.pid)
        while marks and running.poll() is None:
            tick = metrics_so_far(run)
            if tick["updates"] >= marks[0]:
                found = own_megabytes(process)
                rows = f"{tick['replay_rows']:,.0f}"
                table.append([f"{tick['updates']:,.0f}", rows])
                table[-1] += [f"{max(found.get(kind, [0])):.0f}" for kind in KINDS]
                print(table[-1], flush=True)
                marks = [mark for mark in marks if mark > tick["updates"]]
            time.sleep(1)
    if running.returncode:
        raise RuntimeError(f"the run failed; see {run}")
    print(markdown(["updates", "rows on record", *KINDS], table))


if __name__ == "__main__":
    main()
