"""A melody prior's likelihood of unseen windows beside n-gram models of the same training data.

python benchmarks/melody_prior.py lieder ../shared/data/lieder_cc0_windows32.npz
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from common import load_prior, markdown

from sequence_tutor.policies.encodings.base import pad
from sequence_tutor.policies.prior import token_log_probs

VOCABULARY = 38


class Ngrams:
    """An n-gram model by interpolation (Witten and Bell 1991), down to the uniform distribution."""

    def __init__(self, order: int, windows: np.ndarray) -> None:
        self.order = order
        self.counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for row in windows.tolist():
            for t, token in enumerate(row):
                for n in range(min(order, t) + 1):
                    self.counts[tuple(row[t - n : t])][token] += 1

    def probability(self, context: tuple[int, ...], token: int) -> float:
        """p(token | context), the context's last `order` tokens being known."""
        below = self.probability(context[1:], token) if context else 1 / VOCABULARY
        seen = self.counts.get(context)
        if not seen:
            return below
        total, kinds = sum(seen.values()), len(seen)
        return (seen[token] + kinds * below) / (total + kinds)

    def nats_per_step(self, windows: np.ndarray) -> float:
        """Mean negative log-likelihood."""
        total = 0.0
        for row in windows.tolist():
            for t, token in enumerate(row):
                total -= np.log(self.probability(tuple(row[max(0, t - self.order) : t]), token))
        return total / windows.size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prior")
    parser.add_argument("windows", type=Path, help="npz of tokens [n,T] and split 0, 1, 2")
    options = parser.parse_args()

    data = np.load(options.windows)
    training, test = (data["tokens"][data["split"] == part] for part in (0, 2))
    rows: list[list[object]] = []
    for order in (0, 1, 3, 6):
        rows.append([f"{order}-gram", Ngrams(order, training).nats_per_step(test)])
    prior = load_prior(options.prior)
    log_probs = token_log_probs(prior.network, *pad(list(test.astype(np.int16))))
    rows.append([options.prior, float(-log_probs.mean() / test.shape[1])])
    print(markdown(["model", "nats per step"], rows))


if __name__ == "__main__":
    main()
