"""QED and a multi-property goal, with and without random SMILES in the replay.

python benchmarks/goals.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from common import EXAMPLES, auc_top10, last_metrics, markdown, rewards_in_order, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-goals"))
    parser.add_argument("--scores", type=int, default=10_000)
    parser.add_argument("--goals", default="qed,multi_property")
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()

    rows: list[list[object]] = []
    for goal in options.goals.split(","):
        for rewrite in (0.5, 0.0):
            overrides = [f"replay.rewrite={rewrite}", f"stop.scores={options.scores}"]
            out = run(
                EXAMPLES / f"{goal}.toml",
                options.out / f"{goal}-{rewrite}",
                overrides + options.set,
            )
            rewards = rewards_in_order(out, options.scores)
            metrics = last_metrics(out)
            rows.append(
                [
                    goal,
                    rewrite,
                    len(rewards),
                    float(rewards.max()),
                    float(np.sort(rewards)[-10:].mean()),
                    float(rewards.mean()),
                    float(rewards[-1000:].mean()),
                    auc_top10(rewards, options.scores),
                    round(metrics["elapsed_s"]),
                ]
            )
    columns = [
        "goal",
        "random SMILES",
        "scores",
        "best",
        "top 10",
        "mean",
        "mean of last 1,000",
        "AUC top 10",
        "seconds",
    ]
    print(markdown(columns, rows))


if __name__ == "__main__":
    main()
