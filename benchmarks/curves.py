"""Learning curves of several runs in one plot, and their last values in a table.

    python benchmarks/curves.py --plot docs/curves.png before=runs/before after=runs/after

The reward is the mean over the last `--window` valid sequences in the order they were scored.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from common import auc_top10, markdown, rewards_in_order


def moving_mean(values: np.ndarray, window: int) -> np.ndarray:
    """float64 [n] -> [n - window + 1]."""
    total = np.concatenate(([0.0], values.cumsum()))
    return (total[window:] - total[:-window]) / window


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    parser.add_argument("--budget", type=int, default=4000)
    parser.add_argument("--window", type=int, default=256)
    parser.add_argument("--plot", type=Path, required=True)
    options = parser.parse_args()
    figure, axes = plt.subplots(figsize=(7, 4))
    table = []
    for text in options.runs:
        name, _, run = text.partition("=")
        rewards = rewards_in_order(Path(run), options.budget)
        curve = moving_mean(rewards, options.window)
        axes.plot(np.arange(options.window, len(rewards) + 1), curve, label=name)
        best = np.sort(rewards)[-10:].mean()
        auc = auc_top10(rewards, options.budget)
        table.append([name, len(rewards), float(curve[-1]), float(best), auc])
    axes.set(xlabel="distinct valid molecules scored", ylabel="reward")
    axes.legend()
    figure.savefig(options.plot, dpi=120, bbox_inches="tight")
    print(markdown(["run", "scores", "reward at the end", "top-10", "AUC of the top-10"], table))


if __name__ == "__main__":
    main()
