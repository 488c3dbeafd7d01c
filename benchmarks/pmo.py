"""PMO (Gao et al. 2022): tasks x seeds as Ray tasks, each run in one process; prints a table.

python benchmarks/pmo.py --tasks zaleplon_mpo qed --seeds 0 1 --scores 10000 --out runs/pmo
python benchmarks/pmo.py --seeds 0 --out runs/pmo --preset no-policy

It starts Ray on this machine, or uses the cluster of RAY_ADDRESS, where `--out` must be a path that
all nodes see. Runs that are finished aren't repeated, and runs that were interrupted go on. The
numbers of each run are in OUT/PRESET/TASK-SEED/measures.json, those of all in OUT/PRESET.csv.
Molecules that a prior has generated cost as much as all others; nothing is scored outside the
budget. `kl_to_prior` is that of the policy at the end, of its last batches.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import last_metrics, markdown
from pmo_measures import measure
from pmo_presets import PRESETS, settings

from sequence_tutor.distributed.commands.python_api import optimize_rounds
from sequence_tutor.rewards.molecules.tasks import PMO

SHOWN = (
    "auc_top1",
    "auc_top10",
    "auc_top100",
    "top10_at_1000",
    "top10_at_3000",
    "top10_at_10000",
    "practical_auc_top10",
    "practical_top10",
    "diversity_top100",
    "circles_top100",
    "filters_top100",
    "nll_top100",
    "kl_to_prior",
    "seconds",
)


def one_run(preset: str, task: str, seed: int, scores: int, out: Path) -> dict[str, Any]:
    """Run, or go on, to the end; returns what was measured."""
    done = out / "measures.json"
    if done.is_file():
        return dict(json.loads(done.read_text()))
    config = settings(preset, task, seed, scores)
    started, cpu = time.perf_counter(), time.process_time()
    resume = (out / "checkpoints").is_dir()
    rounds = optimize_rounds(config, out, resume=resume)
    for state in rounds:
        if state.metrics.scores_used >= scores:
            break
    rounds.close()  # without the summary, which samples policies anew
    last = last_metrics(out)
    numbers: dict[str, Any] = {
        "preset": preset,
        "task": task,
        "seed": seed,
        **measure(out, scores),
        "kl_to_prior": last["kl_to_prior"],
        "valid_share": last["valid_share"],
        "updates": last["updates"],
        "seconds": last["elapsed_s"],
        "cpu_s": time.process_time() - cpu,
        "measuring_s": time.perf_counter() - started - last["elapsed_s"],
    }
    done.write_text(json.dumps(numbers, indent=1) + "\n")
    return numbers


def write_csv(rows: list[dict[str, Any]], path: Path) -> None:
    names = dict.fromkeys(name for row in rows for name in row)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(names))
        writer.writeheader()
        writer.writerows(rows)


def table(rows: list[dict[str, Any]]) -> str:
    """A line for each task, means over its seeds, and a line of sums."""
    shown = [name for name in SHOWN if any(name in row for row in rows)]
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    means = {
        task: [
            float(np.mean([r[n] for r in rows if r["task"] == task and r.get(n) is not None]))
            for n in shown
        ]
        for task in tasks
    }
    lines: list[list[object]] = [[task, *values] for task, values in means.items()]
    lines.append(["sum", *(float(sum(column)) for column in zip(*means.values(), strict=True))])
    return markdown(["task", *(name.replace("_", " ") for name in shown)], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=list(PMO))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--scores", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("runs/pmo"))
    parser.add_argument("--preset", choices=list(PRESETS), default="default")
    options = parser.parse_args()
    if unknown := set(options.tasks) - set(PMO):
        parser.error(f"unknown tasks: {', '.join(sorted(unknown))}; there are {', '.join(PMO)}")
    for task in options.tasks:
        try:
            settings(options.preset, task, 0, options.scores)
        except ValueError as error:
            parser.error(str(error))
    import ray

    here, place = str(Path(__file__).parent), options.out.resolve() / options.preset
    ray.init(
        address=os.environ.get("RAY_ADDRESS", "local"),
        log_to_driver=False,
        include_dashboard=False,
        runtime_env={"env_vars": {"PYTHONPATH": here, "OMP_NUM_THREADS": "1"}},
    )
    # a process that dies is started again, and its run goes on from its last checkpoint
    task_of = ray.remote(num_cpus=1, max_retries=5)(one_run)
    calls = {
        task_of.remote(
            options.preset, task, seed, options.scores, place / f"{task}-{seed}"
        ): f"{task}, seed {seed}"
        for seed in options.seeds
        for task in options.tasks
    }
    left, rows = list(calls), []
    while left:
        ready, left = ray.wait(left)
        rows += ray.get(ready)
        name, last = calls[ready[0]], rows[-1]
        print(f"{name}: AUC top-10 {last['auc_top10']:.3f}, practical", file=sys.stderr, end=" ")
        print(f"{last['practical_auc_top10']:.3f}, {last['seconds']:.0f} s", file=sys.stderr)
    rows.sort(key=lambda row: (row["seed"], options.tasks.index(row["task"])))
    write_csv(rows, options.out / f"{options.preset}.csv")
    print(table(rows))


if __name__ == "__main__":
    main()
