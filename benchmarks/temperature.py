"""The trade-off between reward and KL to the prior over the temperature c, as table and plot.

python benchmarks/temperature.py --plot docs/temperature.png
python benchmarks/temperature.py --config examples/melodies.toml --temperatures 16,8,4,2,1 \\
    --metrics nll_per_action,distinct,overlap_note_length --plot docs/melodies-temperature.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from common import EXAMPLES, describe_policy, load_prior, markdown, run, training_keys  # noqa: E402

from sequence_tutor.distributed.config_file import load_config  # noqa: E402
from sequence_tutor.rewards.compile import build_reward  # noqa: E402
from sequence_tutor.rewards.domains import domain_of  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=EXAMPLES / "molecules.toml")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-temperature"))
    parser.add_argument("--temperatures", default="16,8,4,2,1")
    parser.add_argument("--metrics", default="valid,distinct")
    parser.add_argument("--scores", type=int, default=3000)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()

    settings = load_config(options.config, options.set)
    prior = load_prior(settings.prior)
    reward = build_reward(settings.reward, domain_of(settings.encoding).name)
    training = training_keys(prior)
    metrics = ["reward", "kl_to_prior", *options.metrics.split(",")]
    rows: list[list[object]] = []
    points = []
    for temperature in map(float, options.temperatures.split(",")):
        overrides = [f"learner.temperature={temperature}", f"stop.scores={options.scores}"]
        out = run(options.config, options.out / f"c{temperature:g}", overrides + options.set)
        numbers = describe_policy(load_prior(out), prior, reward, training, options.samples)
        rows.append([temperature, *(numbers[k] for k in metrics)])
        points.append((numbers["kl_to_prior"], numbers["reward"], temperature))
    print(markdown(["c", *(m.replace("_", " ") for m in metrics)], rows))
    if options.plot:
        figure, axes = plt.subplots(figsize=(5, 3.5))
        axes.plot([p[0] for p in points], [p[1] for p in points], "o-")
        for kl, value, temperature in points:
            axes.annotate(
                f"c = {temperature:g}", (kl, value), textcoords="offset points", xytext=(5, -10)
            )
        axes.set_xlabel("KL to the prior, nats per sequence")
        axes.set_ylabel("mean reward")
        figure.tight_layout()
        figure.savefig(options.plot, dpi=120)


if __name__ == "__main__":
    main()
