"""Sampler and learner on a GPU against a plain implementation and against the GPU's limits.

    python benchmarks/gpu.py

Prints the card's best rates, two tables and the parts of an update's time. Ours and the peer
(plain.py: PyTorch's own layers in float32, each operation launched from Python) take turns in one
process; medians. The batches of episodes are the shipped molecule prior's own.
"""

from __future__ import annotations

import argparse
from statistics import median
from typing import Any

import numpy as np
import plain
import torch
from common import load_prior, markdown
from throughput import in_turns
from torch import Tensor
from torch.nn.functional import linear

from sequence_tutor.policies.encodings.base import Episodes
from sequence_tutor.policies.kernels.cuda_graph import CapturedByShape
from sequence_tutor.policies.kl_control import KLControlSettings
from sequence_tutor.policies.kl_control_model import KLControlModel
from sequence_tutor.policies.sampler import Sampler

DEVICE = torch.device("cuda")


def seconds(run: Any, times: int = 20) -> float:
    """Median seconds by the GPU's own clock."""
    found = []
    for _ in range(times + 3):
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before.record()
        run()
        after.record()
        torch.cuda.synchronize()
        found.append(before.elapsed_time(after) / 1e3)
    return median(found[3:])


def best_rate(rows: int = 8192) -> float:
    """FLOP/s of a large bfloat16 product."""
    x, w = (torch.randn(rows, rows, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    return 2 * rows**3 / seconds(lambda: linear(x, w))


def sampler(batches: list[int], rounds: int, rate: float) -> None:
    prior = load_prior("zinc250k")
    network = prior.network.to(DEVICE).requires_grad_(False)
    size, table = network.architecture.hidden, []
    products = 2 * 4 * size * (size + (network.architecture.layers - 1) * 2 * size)
    for batch in batches:
        ours = Sampler(network, prior.encoding)
        generator = torch.Generator().manual_seed(batch)
        torch.manual_seed(batch)
        drawn = ours.sample(batch, generator)
        one, other = in_turns(
            rounds,
            lambda: ours.sample(batch, generator),  # noqa: B023
            lambda: plain.sample(network, prior.encoding, batch),  # noqa: B023
        )
        step = one / int(drawn.lengths.max())
        share = int(drawn.lengths.sum()) * products / one / rate
        table.append(
            [batch, f"{batch / one:.0f}", f"{batch / other:.0f}", f"{other / one:.1f}"]
            + [f"{step * 1e6:.0f}", f"{share:.1%}"]
        )
    names = ["batch", "sequences/s", "plain", "ratio", "microseconds a step"]
    print(markdown([*names, "products, of the card's rate"], table))


class Captured:
    """The learner's update, as distributed/learning/learner.py makes it, without Ray."""

    def __init__(self) -> None:
        self.model = KLControlModel(
            load_prior("zinc250k").network, "path", KLControlSettings(), target_rate=0.05
        )
        self.model.to(DEVICE)
        policy, level = [*self.model.online.network.parameters()], self.model.online.level
        groups = [{"params": policy}, {"params": [level], "lr": 0.1}]
        self.optimizer = torch.optim.Adam(groups, lr=1e-5, fused=True, capturable=True)
        self.update = CapturedByShape(self.eager, DEVICE)

    def eager(self, batch: dict[str, Tensor]) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.model.loss(**batch).loss
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.online.network.parameters(), 10.0)
        self.optimizer.step()
        return loss.detach()


def learner(batches: list[int], rounds: int, rate: float, updates: int = 8) -> None:
    prior, table = load_prior("zinc250k"), []
    sizes = prior.network.architecture
    # forward, and backward by inputs and by weights; the first layer's input counts as well
    products = 3 * 2 * 4 * sizes.hidden
    products *= sizes.embedding + sizes.hidden + (sizes.layers - 1) * 2 * sizes.hidden
    network = prior.network.to(DEVICE).requires_grad_(False)
    episodes = Sampler(network, prior.encoding).sample(4096, torch.Generator().manual_seed(0))
    for batch in batches:
        cut = [make_batch(episodes, batch, seed) for seed in range(updates)]
        ours, eager = Captured(), Captured()
        theirs = plain.Learner(network, load_prior("zinc250k").network.to(DEVICE).train(), 1e-5)
        known = [
            tensors | {"log_prior": ours.model.prior_of_actions(**actions_of(tensors))}
            for tensors, _ in cut
        ]

        def captured(known: list[dict[str, Tensor]] = known, ours: Captured = ours) -> None:
            for tensors in known:
                ours.update(tensors)
            torch.cuda.synchronize()

        def launched(known: list[dict[str, Tensor]] = known, eager: Captured = eager) -> None:
            for tensors in known:
                eager.eager(tensors)
            torch.cuda.synchronize()

        def peer(cut: list[Any] = cut, theirs: plain.Learner = theirs) -> None:
            for _, numbers in cut:
                theirs.update(*numbers)

        captured()
        one, same, other = in_turns(rounds, captured, launched, peer)
        tokens = sum(int(lengths.sum()) for _, (_, lengths, _) in cut)
        slots = sum(tensors["actions"].numel() for tensors, _ in cut)
        table.append(
            [batch, *(f"{updates / s:.0f}" for s in (one, same, other)), f"{other / one:.1f}"]
            + [f"{tokens / one / 1e6:.2f}", f"{tokens * products / one / rate:.1%}"]
            + [f"{1 - tokens / slots:.0%}"]
        )
        if batch == batches[0]:
            profile = profiled(captured, updates)
    names = ["batch", "updates/s", "without graphs", "plain", "ratio", "million tokens/s"]
    print(markdown([*names, "products, of the card's rate", "padding"], table))
    print(f"\nAn update of {batches[0]} episodes, by kernel:\n")
    print(profile)


def make_batch(
    episodes: Episodes, size: int, seed: int
) -> tuple[dict[str, Tensor], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The same episodes as a batch for the learner and as one for the peer."""
    random = np.random.default_rng(seed)
    rows = random.choice(len(episodes.lengths), size, replace=False)
    lengths, returns = episodes.lengths[rows], random.normal(10.0, 2.0, size)
    longest = int(lengths.max())
    tokens = episodes.tokens[rows, :longest]
    rewards = np.zeros((size, -(-longest // 8) * 8), np.float32)
    rewards[np.arange(size), lengths - 1] = returns
    padded = np.zeros(rewards.shape, np.int64)
    padded[:, :longest] = tokens
    arrays = {"actions": padded, "lengths": lengths.astype(np.int64), "rewards": rewards}
    tensors = {name: torch.from_numpy(array).to(DEVICE) for name, array in arrays.items()}
    return tensors, (tokens, lengths, returns)


def actions_of(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensors[name] for name in ("actions", "lengths")}


def profiled(run: Any, updates: int, most: int = 8) -> str:
    """Microseconds per update of the slowest kernels."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiler:
        run()
    kernels = sorted(profiler.key_averages(), key=lambda k: -k.self_device_time_total)
    total = sum(k.self_device_time_total for k in kernels)
    rows = [
        [k.key[:60], f"{k.count / updates:.0f}", f"{k.self_device_time_total / updates:.0f}"]
        + [f"{k.self_device_time_total / total:.0%}"]
        for k in kernels[:most]
    ]
    return markdown(["kernel", "launches", "microseconds", "share"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sampler", type=int, nargs="*", default=[128, 512, 2048, 8192])
    parser.add_argument("--learner", type=int, nargs="*", default=[64, 256, 1024])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rate = best_rate()
    print(f"{torch.cuda.get_device_name()}, bfloat16 products at {rate / 1e12:.0f} TFLOP/s\n")
    sampler(options.sampler, options.rounds, rate)
    print()
    learner(options.learner, options.rounds, rate)


if __name__ == "__main__":
    main()
