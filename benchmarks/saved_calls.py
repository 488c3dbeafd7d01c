"""Calls that aren't made: those behind a cheap filter, and those of an earlier run.

    python benchmarks/saved_calls.py filter      20,000 molecules, half of which a filter stops
    python benchmarks/saved_calls.py reweight    4,000 scores, then other weights

`filter` scores the same file twice with a reward that sleeps 100 ms: with the limit on the weight
as one score of two, which calls all, and as a filter. `reweight` makes a run of three components,
one of which writes each of its calls to a file, and a second run with other weights that starts
from the first. It counts the calls, and takes the times to the first score and the first update.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from cheap import molecules
from common import markdown, metrics_so_far
from rich.console import Console

from sequence_tutor.distributed.commands.score_file import score_file
from sequence_tutor.distributed.config_file import parse_config, to_toml
from sequence_tutor.distributed.replay.record.writer import read_table
from sequence_tutor.rewards import score_one

HERE = Path(__file__).resolve().parent
SLEEPS = {"name": "python", "label": "slow", "function": "sleeping_rewards:for_100_ms"}
# brings the lengths that the sleeping reward returns to 0..1
LENGTHS = {"type": "linear", "low": 0, "high": 100}


def filter_table(lines: int, scorers: int, out: Path) -> str:
    source = out / "molecules.smi"
    chosen = list(islice(molecules(), lines))
    source.write_text("".join(f"{text}\n" for text in chosen))
    limit = float(np.median([score_one("molecular_weight", text) for text in chosen]))
    light = {"name": "molecular_weight", "transform": {"type": "step", "high": limit}}
    rows: list[list[Any]] = []
    for role in ("score", "filter"):
        run = parse_config(
            {
                "reward": {
                    "component": [light | {"role": role}, SLEEPS | {"transform": LENGTHS}],
                    "waiting": 0,  # a scorer must not sleep for several at a time
                },
                "scorers": {"count": scorers},
                "stop": {"scores": 1},
            }
        )
        started = time.monotonic()
        result = out / f"{role}.csv"
        score_file(run, source, result, None, False, Console(file=sys.stderr))
        took = time.monotonic() - started
        table = pq.read_table(result.with_suffix(".parquet"))
        called = int((~np.isnan(table.column("raw.slow").to_numpy())).sum())
        assert set(table.column("status").to_pylist()) == {"ok"}
        rows.append([role, len(table), called, round(took), len(table) / took])
    slowest = rows[0][-1]
    rows = [[*row, row[-1] / slowest] for row in rows]
    return markdown(
        ["the weight is a", "molecules", "calls of 100 ms", "seconds", "molecules/s", "ratio"], rows
    )


def config(weights: tuple[float, float, float], scores: int, ratio: float) -> str:
    """A run of three components; ratio: samples that the learner consumes per score."""
    qed, sa, counted = weights
    run = parse_config(
        {
            "reward": {
                "component": [
                    {"name": "qed", "weight": qed},
                    {
                        "name": "sa",
                        "weight": sa,
                        "transform": {"type": "reverse_sigmoid", "low": 1, "high": 6},
                    },
                    {
                        "name": "python",
                        "label": "counted",
                        "weight": counted,
                        "function": "sleeping_rewards:counted",
                        "transform": LENGTHS,
                    },
                ]
            },
            "replay": {"ratio": ratio},
            "stop": {"scores": scores},
        }
    )
    return to_toml(run)


def seconds_to_start(out: Path, name: str, text: str, *more: str) -> tuple[float, float]:
    """Seconds from the command to the line of metrics that has the first score, and to the one that
    has the first update. The command runs to its end."""
    file, directory = out / f"{name}.toml", out / name
    file.write_text(text)
    command = ["sequence-tutor", "optimize", str(file), "--out", str(directory), *more]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=sys.stderr, cwd=HERE)
    seen: dict[str, float] = {}
    while process.poll() is None:
        time.sleep(0.05)
        for key in ("scores_used", "updates"):
            if key not in seen and metrics_so_far(directory).get(key, 0) > 0:
                seen[key] = time.monotonic() - started
    assert process.returncode == 0
    return seen["scores_used"], seen["updates"]


def reweight_table(scores: int, out: Path) -> str:
    counter = out / "calls.txt"
    os.environ["CALLS"] = str(counter)
    first = seconds_to_start(out, "first", config((1, 1, 1), scores, 1.0))
    known = read_table(out / "first/scores").filter(
        [s == "ok" for s in read_table(out / "first/scores").column("status").to_pylist()]
    )
    counter.unlink()
    again = seconds_to_start(
        out, "again", config((3, 1, 0.2), 512, 8.0), "--warm-start", str(out / "first")
    )
    calls = counter.read_text().split() if counter.exists() else []
    twice = len(set(calls) & set(known.column("sequence").to_pylist()))
    rows = [
        ["the first run", 0, "", *first],
        ["other weights", len(known), twice, *again],
    ]
    return markdown(
        ["run", "scores that it began with", "of these called again", "s to the first score"]
        + ["s to the first update"],
        rows,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("filter", "reweight"))
    parser.add_argument("--out", type=Path, default=Path("runs/saved_calls"))
    parser.add_argument("--lines", type=int, default=20_000, help="molecules of `filter`")
    parser.add_argument("--scorers", type=int, default=4, help="scorers of `filter`")
    parser.add_argument("--scores", type=int, default=4_000, help="scores of `reweight`")
    given = parser.parse_args()
    folder = (given.out / given.what).resolve()
    folder.mkdir(parents=True)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    if given.what == "filter":
        print(filter_table(given.lines, given.scorers, folder))
    else:
        print(reweight_table(given.scores, folder))
