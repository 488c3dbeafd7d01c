"""From the command to the first scored molecule, and where the seconds go.

    python benchmarks/startup.py

Medians of three.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from common import EXAMPLES, markdown, optimize_command

from sequence_tutor.distributed.replay.record import read_table

# each starts what the one before it starts, and something more
STEPS = {
    "Python and the command line": "import sequence_tutor.distributed.cli",
    "PyTorch, Ray and RLlib": "import sequence_tutor.distributed.run",
    "Ray's own processes": (
        "import sequence_tutor.distributed.run, ray; "
        "ray.init(address='local', include_dashboard=False, log_to_driver=False)"
    ),
}


def timed(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def first_score(config: Path, out: Path) -> float:
    """Seconds from the command until the first molecule had its score."""
    shutil.rmtree(out, ignore_errors=True)
    started = time.time()
    timed(optimize_command(config, out, ["stop.scores=64"]))
    scored = read_table(out / "scores").column("scored_at").cast("int64").to_numpy()
    return float(scored.min() / 1e6 - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-startup"))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rounds = range(options.rounds)
    marks = [median(timed([sys.executable, "-c", code]) for _ in rounds) for code in STEPS.values()]
    whole = median(first_score(EXAMPLES / "molecules.toml", options.out) for _ in rounds)
    steps = [mark - before for before, mark in zip([0.0, *marks], [*marks, whole], strict=True)]
    names = [*STEPS, "actors, scorers, shards and learner; 64 molecules"]
    table = [[name, f"{step:.1f}"] for name, step in zip(names, steps, strict=True)]
    print(markdown(["", "s"], [*table, ["to the first score", f"{whole:.1f}"]]))


if __name__ == "__main__":
    main()
