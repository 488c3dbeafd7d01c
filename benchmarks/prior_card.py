"""The numbers of a prior's model card: quality of 10,000 samples, and their properties beside the
data's as quantiles.

    python benchmarks/prior_card.py zinc250k ../shared/data/zinc250k.smi.gz
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import load_prior, markdown

from sequence_tutor.policies.files.corpus import read_corpus
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.molecules.domain import MoleculeDomain  # noqa: E402
from sequence_tutor.rewards.molecules.measures.properties import (
    logp,
    molecular_weight,
    qed,
    sa,
    tpsa,
)
from sequence_tutor.rewards.molecules.molecule import Molecule

SAMPLES = 10_000
PROPERTIES: dict[str, Callable[[Molecule], float]] = {
    "logP": logp,
    "QED": qed,
    "SA": sa,
    "weight, g/mol": molecular_weight,
    "TPSA": tpsa,
}


def main() -> None:
    name, data = sys.argv[1], Path(sys.argv[2])
    corpus, key = read_corpus(data, lambda _: None).sequences, domain_of("smiles").key
    sampled = load_prior(name).sample(SAMPLES, seed=0)
    keys = [k for s in sampled if (k := key(s)) is not None]
    known = {key(s) for s in corpus}
    print(
        markdown(
            ["", "of 10,000 samples"],
            [
                ["valid", len(keys) / len(sampled)],
                ["distinct among the valid", len(set(keys)) / len(keys)],
                ["novel among the distinct", len(set(keys) - known) / len(set(keys))],
            ],
        )
    )
    part = random.Random(0).sample(corpus, SAMPLES)
    groups = {"samples": keys, "data": part}
    read = MoleculeDomain().read
    molecules = {n: [m for s in group if (m := read(s, []))] for n, group in groups.items()}
    rows: list[list[object]] = []
    for label, measure in PROPERTIES.items():
        for source, group in molecules.items():
            values = np.array([measure(m) for m in group])
            quantiles = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
            rows.append([label, source, float(values.mean()), *map(float, quantiles)])
    print()
    print(markdown(["", "", "mean", "5 %", "25 %", "median", "75 %", "95 %"], rows))


if __name__ == "__main__":
    main()
