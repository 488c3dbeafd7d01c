"""How the cost of sampling and learning grows: with width, batch and length.

    python benchmarks/costs.py

Random networks of three LSTM layers without an end token, so that every episode has the stated
length; one thread. The exponent is the slope of log seconds over log size.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from common import markdown
from throughput import in_turns

from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.policies.encodings.vocabulary import Vocabulary
from sequence_tutor.policies.kernels.device import keep_freed_memory
from sequence_tutor.policies.kl_control import KLControlSettings
from sequence_tutor.policies.kl_control_model import KLControlModel
from sequence_tutor.policies.network import Architecture, RecurrentNetwork
from sequence_tutor.policies.sampler import Sampler

VOCABULARY = Vocabulary(tuple(chr(0x4E00 + i) for i in range(63)), end_id=None)
USUAL = {"width": 256, "batch": 128, "length": 48}
SIZES: dict[str, Sequence[int]] = {
    "width": (128, 256, 512, 1024),
    "batch": (32, 128, 512, 2048),
    "length": (32, 128, 512),
}


def seconds(width: int, batch: int, length: int, rounds: int) -> tuple[float, float]:
    """Seconds of sampling a batch, and of an update on it."""
    torch.manual_seed(0)
    network = RecurrentNetwork(Architecture("lstm", 63, 128, width, 3)).eval()
    sampler = Sampler(network, SmilesEncoding(VOCABULARY, max_length=length))
    episodes = sampler.sample(batch)
    model = KLControlModel(network, "path", KLControlSettings(), target_rate=0.05)
    actions = torch.from_numpy(episodes.tokens.astype(np.int64))
    lengths = torch.from_numpy(episodes.lengths.astype(np.int64))
    rewards = torch.zeros(actions.shape)
    log_prior = model.prior_of_actions(actions, lengths)
    optimizer = torch.optim.Adam(model.online.parameters(), lr=1e-5, fused=True)

    def update() -> None:
        optimizer.zero_grad()
        loss = model.loss(actions, lengths, rewards, log_prior=log_prior).loss
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    sampling, learning = in_turns(rounds, lambda: sampler.sample(batch), update)
    return sampling, learning


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    keep_freed_memory()
    table = []
    for name, sizes in SIZES.items():
        found = [seconds(**(USUAL | {name: size}), rounds=rounds) for size in sizes]
        steps = [(USUAL | {name: s})["batch"] * (USUAL | {name: s})["length"] for s in sizes]
        slopes = [
            np.polyfit(np.log(sizes), np.log([row[i] for row in found]), 1)[0] for i in (0, 1)
        ]
        for size, row, n in zip(sizes, found, steps, strict=True):
            table.append([name, size, *(f"{1e6 * s / n:.0f}" for s in row), "", ""])
        table[-1][-2:] = [f"{slope:.2f}" for slope in slopes]
    names = ["grows", "size", "sampling, us a token", "learning, us a token"]
    print(markdown([*names, "exponent, sampling", "exponent, learning"], table))


if __name__ == "__main__":
    main()
