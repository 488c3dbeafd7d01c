"""The paper's molecule objective with each algorithm, beside the prior and the paper's numbers.

python benchmarks/objective.py --data ../shared/data/zinc250k.smi.gz
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common import EXAMPLES, describe_policy, last_metrics, load_prior, markdown, run

from sequence_tutor.distributed.config_file import load_config
from sequence_tutor.policies.files.corpus import read_corpus
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.domains import domain_of

COLUMNS = {
    "reward": "reward",
    "valid": "valid",
    "distinct": "distinct",
    "novel": "novel",
    "mean_logp": "logP",
    "mean_qed": "QED",
    "mean_sa": "SA",
    "mean_ring_penalty": "ring",
    "kl_to_prior": "KL, nats",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-objective"))
    parser.add_argument("--data", type=Path, help="training data, for novelty")
    parser.add_argument("--algorithms", default="q,psi,g,path")
    parser.add_argument("--scores", type=int, default=4000)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()

    config = EXAMPLES / "molecules.toml"
    settings = load_config(config, options.set)
    prior, reward = load_prior(settings.prior), build_reward(settings.reward)
    training = None
    if options.data:
        domain = domain_of("smiles")
        training = {domain.key(s) or s for s in read_corpus(options.data, lambda _: None).sequences}

    def row(name: str, policy: object, extra: tuple[object, ...]) -> list[object]:
        numbers = describe_policy(policy, prior, reward, training, options.samples)  # type: ignore[arg-type]
        return [name, *(numbers.get(key, "") for key in COLUMNS), *extra]

    rows = [row("prior", prior, ("", ""))]
    for algorithm in options.algorithms.split(","):
        overrides = [f"learner.algorithm={algorithm}", f"stop.scores={options.scores}"]
        out = run(config, options.out / algorithm, overrides + options.set)
        metrics = last_metrics(out)
        extra = (int(metrics["updates"]), round(metrics["elapsed_s"]))
        rows.append(row(algorithm, load_prior(out), extra))
    unknown = [""] * 2
    rows.append(["paper, before", "", 0.303, "", "", 2.07, 0.678, 2.77, -0.096, *unknown, ""])
    rows.append(["paper, after", "", 0.358, "", "", 4.21, 0.417, 1.79, -0.001, *unknown, ""])
    print(markdown(["", *COLUMNS.values(), "updates", "seconds"], rows))


if __name__ == "__main__":
    main()
