"""Speed of the kinds of cell: training, log-probabilities and sampling, one beside the other.

    python benchmarks/cells.py
    python benchmarks/cells.py --sizes lstm:512:3 mingru:512:3 --threads 1 --rounds 5

Random networks, and sequences of the shipped molecule prior. Training is `Pretraining`'s update
with its dropout; log-probabilities are in bfloat16 where that's fast; drawn sequences have 40
actions. The kinds take turns in one process; the numbers are medians of the turns. GFLOP/s: what
the layers' products of all actions need, 6 operations a weight to train and 2 to read, over all the
time taken; its share is of one plain product of 4,096 rows, times the threads.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from common import load_prior, markdown
from throughput import in_turns
from torch.nn.functional import linear

from sequence_tutor.policies.encodings.base import pad
from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.policies.encodings.vocabulary import Vocabulary
from sequence_tutor.policies.kernels.device import autocast, bfloat16_is_fast, keep_freed_memory
from sequence_tutor.policies.network import Architecture, RecurrentNetwork
from sequence_tutor.policies.pretrain import Pretraining, PretrainSettings
from sequence_tutor.policies.prior import Prior, token_log_probs

# Sequences to train on, more than a pool of batches of 64, and updates of one turn.
SEQUENCES, UPDATES = 3400, 2
# Sequences that are read, and drawn, in one turn.
READ = 256
LENGTH = 40
ENDLESS = SmilesEncoding(Vocabulary(tuple(chr(0x4E00 + i) for i in range(63)), None), LENGTH)


class Kind:
    """One kind of cell, and what is timed of it."""

    def __init__(self, size: str, threads: int) -> None:
        cell, hidden, layers = size.split(":")
        self.settings = PretrainSettings(cell=cell, hidden=int(hidden), layers=int(layers))
        self.name = f"{cell}, {layers} x {hidden}"
        sizes = Architecture(cell, 63, self.settings.embedding, int(hidden), int(layers))
        self.network = RecurrentNetwork(sizes).eval().requires_grad_(False)
        self.weights = sum(p.numel() for p in self.network.rnn.parameters() if p.dim() == 2)

    def updates(self, prior: Prior, sequences: list[str], batch: int) -> tuple[Callable, int, int]:  # type: ignore[type-arg]
        """A turn of training, its sequences and its actions."""
        training = Pretraining(
            prior.encoding, sequences, replace(self.settings, batch=batch), "cpu"
        )
        batches = list(islice(training._batches(), UPDATES))
        actions = sum(int(training.train[1][rows].sum()) for rows in batches)

        def run() -> None:
            for rows in batches:
                training._update(rows)

        return run, sum(map(len, batches)), actions


def plain_rate(width: int) -> Callable[[], None]:
    dtype = torch.bfloat16 if bfloat16_is_fast("cpu") else torch.float32
    x, weights = torch.randn(4096, width, dtype=dtype), torch.randn(3 * width, width, dtype=dtype)

    def run() -> None:
        for _ in range(8):
            linear(x, weights)

    return torch.no_grad()(run)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["lstm:512:3", "mingru:512:3"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    keep_freed_memory()
    prior = load_prior("zinc250k")
    sequences = prior.sample(SEQUENCES, seed=1)
    sequences = [s for s in sequences if len(prior.encoding.encode(s)) < 100]
    tokens, lengths = pad([prior.encoding.encode(s) for s in sequences[:READ]])
    table = []
    for threads in options.threads:
        torch.set_num_threads(threads)
        kinds = [Kind(size, threads) for size in options.sizes]
        limit = plain_rate(kinds[0].settings.hidden)
        flops_of_limit = 8 * 2 * 4096 * 3 * kinds[0].settings.hidden ** 2

        def row(what: str, calls: list[Callable[[], object]], n: int, flops: list[float]) -> None:
            *seconds, plain = in_turns(options.rounds, *calls, limit)  # noqa: B023
            for kind, one, operations in zip(kinds, seconds, flops, strict=True):  # noqa: B023
                rate = operations / one / 1e9
                share = rate / (flops_of_limit / plain / 1e9)  # noqa: B023
                times = f"{seconds[0] / one:.2f}"
                own = [threads, what, kind.name, f"{n / one:.0f}", times]  # noqa: B023
                table.append([*own, f"{rate:.0f}", f"{share:.0%}"])

        for batch in options.batches:
            found = [kind.updates(prior, sequences, batch) for kind in kinds]
            operations = [
                6.0 * kind.weights * actions
                for kind, (_, _, actions) in zip(kinds, found, strict=True)
            ]
            row(f"training, {batch}", [run for run, _, _ in found], found[0][1], operations)

        def read(kind: Kind) -> None:
            with autocast("cpu"):
                token_log_probs(kind.network, tokens, lengths)

        def draw(kind: Kind) -> None:
            Prior(ENDLESS, kind.network).sample(READ * threads, seed=0)  # noqa: B023

        for what, call, n, actions in (
            ("log-probabilities", read, READ, int(lengths.sum())),
            ("sampling", draw, READ * threads, READ * threads * LENGTH),
        ):
            calls = [lambda kind=kind, call=call: call(kind) for kind in kinds]
            row(what, calls, n, [2.0 * kind.weights * actions for kind in kinds])
    names = ["threads", "what, batch", "network", "sequences/s", f"times {options.sizes[0]}"]
    print(markdown([*names, "GFLOP/s", "share of the plain product's"], table))


if __name__ == "__main__":
    np.random.seed(0)
    main()
