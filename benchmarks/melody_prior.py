"""A melody prior's likelihood of unseen windows beside n-gram models of the same training data.

python benchmarks/melody_prior.py lieder TEST     (a folder or .zip of music, or lines of text)

The n-gram models learn from the windows that come with the prior.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from common import load_prior, markdown

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
    parser.add_argument("test", type=Path, help="music or text that the prior wasn't trained on")
    options = parser.parse_args()

    prior = load_prior(options.prior)
    if prior.data is None:
        parser.error(f"the prior {options.prior} comes without its data")
    encoding = prior.encoding
    read = encoding.read(options.test, lambda text: None, encoding.max_length, **encoding.options)
    texts = [text for text in read.sequences if text not in set(prior.data.training)]
    training, test = (
        np.stack([encoding.encode(text) for text in part]) for part in (prior.data.training, texts)
    )
    print(f"{len(test)} windows, {len(read.sequences) - len(test)} left out that training has too")
    rows: list[list[object]] = []
    for order in (0, 1, 3, 6):
        rows.append([f"{order}-gram", Ngrams(order, training).nats_per_step(test)])
    rows.append([options.prior, float(-prior.log_prob(texts).mean() / test.shape[1])])
    print(markdown(["model", "nats per step"], rows))


if __name__ == "__main__":
    main()
