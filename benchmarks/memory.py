"""What each process of a long run holds, from start to end.

    python benchmarks/memory.py

100,000 updates of a small prior that is trained on the spot; the record grows all the time. What
counts is the memory that is the process's own (USS), in MB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from itertools import islice
from pathlib import Path

import psutil
from common import EXAMPLES, markdown, metrics_so_far, optimize_command
from pipeline import stage_of
from scaling import molecules

KINDS = ("actor", "learner", "scorer", "reward", "shard", "driver")


def small_prior(out: Path) -> Path:
    """A prior that costs little to sample and to tune, made where it isn't there yet."""
    data = out / "data.smi"
    if (out / "prior").is_dir():
        return out / "prior"
    out.mkdir(parents=True, exist_ok=True)
    data.write_text("".join(f"{one}\n" for one in islice(molecules(), 0, 200_000, 100)))
    command = ["sequence-tutor", "pretrain", str(data), "--out", str(out / "prior")]
    sizes = ["--hidden", "32", "--embedding", "16", "--layers", "1", "--epochs", "4"]
    subprocess.run([*command, *sizes], check=True, stdout=subprocess.DEVNULL)
    return out / "prior"


def held(root: psutil.Process) -> dict[str, float]:
    """MB by kind of process; the largest of each kind."""
    found: dict[str, float] = {}
    for process in [root, *root.children(recursive=True)]:
        try:
            kind, own = stage_of(process), process.memory_full_info().uss / 1e6
        except psutil.Error:
            continue
        found[kind] = max(own, found.get(kind, 0.0))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-memory"))
    parser.add_argument("--updates", type=int, default=100_000)
    options = parser.parse_args()
    prior = small_prior(options.out)
    run = options.out / "run"
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
                found = held(process)
                rows = f"{tick['replay_rows']:,.0f}"
                table.append([f"{tick['updates']:,.0f}", rows])
                table[-1] += [f"{found.get(kind, 0):.0f}" for kind in KINDS]
                print(table[-1], flush=True)
                marks = [mark for mark in marks if mark > tick["updates"]]
            time.sleep(1)
    print(markdown(["updates", "rows on record", *KINDS], table))


if __name__ == "__main__":
    main()
