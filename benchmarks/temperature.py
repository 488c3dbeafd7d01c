"""The trade-off between reward and KL to the prior over the temperature c, as table and plot.

python benchmarks/temperature.py --plot docs/temperature.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from common import EXAMPLES, describe_policy, load_prior, markdown, run  # noqa: E402

from sequence_tutor.distributed.config import load_config  # noqa: E402
from sequence_tutor.rewards.build import build_reward  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-temperature"))
    parser.add_argument("--temperatures", default="16,8,4,2,1")
    parser.add_argument("--scores", type=int, default=3000)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()

    config = EXAMPLES / "molecules.toml"
    settings = load_config(config, options.set)
    prior, reward = load_prior(settings.prior), build_reward(settings.reward)
    rows: list[list[object]] = []
    points = []
    for temperature in map(float, options.temperatures.split(",")):
        overrides = [f"learner.temperature={temperature}", f"stop.scores={options.scores}"]
        out = run(config, options.out / f"c{temperature:g}", overrides + options.set)
        numbers = describe_policy(load_prior(out), prior, reward, None, options.samples)
        rows.append([temperature, *(numbers[k] for k in ("reward", "kl", "valid", "distinct"))])
        points.append((numbers["kl"], numbers["reward"], temperature))
    print(markdown(["c", "reward", "KL, nats", "valid", "distinct"], rows))
    if options.plot:
        figure, axes = plt.subplots(figsize=(5, 3.5))
        axes.plot([p[0] for p in points], [p[1] for p in points], "o-")
        for kl, value, temperature in points:
            axes.annotate(
                f"c = {temperature:g}", (kl, value), textcoords="offset points", xytext=(5, -10)
            )
        axes.set_xlabel("KL to the prior, nats per molecule")
        axes.set_ylabel("mean reward")
        figure.tight_layout()
        figure.savefig(options.plot, dpi=120)


if __name__ == "__main__":
    main()
