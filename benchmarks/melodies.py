"""The melody table with each algorithm: data, noise, prior, tuned policies, the paper's columns.

python benchmarks/melodies.py examples/melodies_paper.toml     # the paper's rules and settings
python benchmarks/melodies.py examples/melodies.toml           # the corrected rules
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common import describe_policy, last_metrics, load_prior, markdown, run, training_keys

from sequence_tutor.distributed.config_file import load_config
from sequence_tutor.distributed.report.evaluation import compare
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.domains import domain_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-melodies"))
    parser.add_argument("--algorithms", default="q,psi,g,path")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()

    settings = load_config(options.config, options.set)
    prior, domain = load_prior(settings.prior), domain_of(settings.encoding)
    reward = build_reward(settings.reward, domain.name)
    columns = dict(compare(domain, prior, None, reward, n=options.samples))
    training = training_keys(prior)
    for algorithm in options.algorithms.split(","):
        overrides = [f"learner.algorithm={algorithm}", *options.set]
        out = run(options.config, options.out / options.config.stem / algorithm, overrides)
        numbers = describe_policy(load_prior(out), prior, reward, training, options.samples)
        metrics = last_metrics(out)
        extra = {name: float(metrics[name]) for name in ("scores_used", "updates", "elapsed_s")}
        columns[algorithm] = {**numbers, **extra}
    columns |= {name: dict(numbers) for name, numbers in domain.published.items()}
    names = dict.fromkeys(key for numbers in columns.values() for key in numbers)
    rows = [[n.replace("_", " "), *(c.get(n, "") for c in columns.values())] for n in names]
    print(markdown(["", *columns], rows))


if __name__ == "__main__":
    main()
