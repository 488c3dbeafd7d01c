"""Speed of each stage against a plain implementation and against the machine's own limit.

    python benchmarks/throughput.py sampler      sequences/s, batches 128 to 2,048
    python benchmarks/throughput.py learner      updates/s
    python benchmarks/throughput.py scoring      molecules/s, component by component

The whole run is pipeline.py's. Ours and the peer (plain.py) take turns in one process; the numbers
are medians of the turns, the ratios those of the medians. The limit is the speed of the machine's
own matrix products, timed in between on the shapes that the stage spends its products on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import plain
import torch
from common import load_prior, markdown
from torch.nn.functional import linear

from sequence_tutor.policies.encodings.base import Episodes
from sequence_tutor.policies.kernels.device import bfloat16_is_fast, keep_freed_memory
from sequence_tutor.policies.kernels.prefix_tree import PrefixForest
from sequence_tutor.policies.kernels.prior_cache import PriorCache
from sequence_tutor.policies.kernels.stepper import Stepper
from sequence_tutor.policies.kl_control import KLControlSettings
from sequence_tutor.policies.kl_control_model import KLControlModel
from sequence_tutor.policies.network import Architecture
from sequence_tutor.policies.sampler import Sampler
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.molecules import identity  # noqa: E402


def in_turns(rounds: int, *calls: Callable[[], Any]) -> list[float]:
    """Median seconds of each call, after one that isn't counted."""
    seconds: list[list[float]] = [[] for _ in calls]
    for i in range(rounds + 1):
        for one, call in zip(seconds, calls, strict=True):
            started = time.perf_counter()
            call()
            if i:
                one.append(time.perf_counter() - started)
    return [median(one) for one in seconds]


class Rows:
    """Rows that a sampler steps at each step, and the seconds of their products alone."""

    def __init__(self) -> None:
        self.widths: list[int] = []
        self._step = Stepper.step

    def __enter__(self) -> Rows:
        def counting(stepper: Any, actions: torch.Tensor, state: Any) -> Any:
            self.widths.append(len(actions))
            return self._step(stepper, actions, state)

        Stepper.step = counting  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: Any) -> None:
        Stepper.step = self._step  # type: ignore[method-assign]

    def products(self, sizes: Architecture) -> Callable[[], None]:
        """Only the matrix products of the steps."""
        dtype = torch.bfloat16 if bfloat16_is_fast("cpu") else torch.float32
        gates, h = (4 if sizes.cell == "lstm" else 3) * sizes.hidden, sizes.hidden
        first = torch.randn(gates, h, dtype=dtype)
        above = torch.randn(gates, 2 * h, dtype=dtype)
        x = torch.randn(max(self.widths), 2 * h, dtype=dtype)
        narrow = x[:, :h].contiguous()

        def run() -> None:
            for width in self.widths:
                linear(narrow[:width], first)
                for _ in range(sizes.layers - 1):
                    linear(x[:width], above)

        return run


def sampler(threads: list[int], batches: list[int], rounds: int) -> None:
    prior = load_prior("zinc250k")
    network = prior.network
    table = []
    for count in threads:
        torch.set_num_threads(count)
        for batch in batches:
            generator = torch.Generator().manual_seed(batch)
            torch.manual_seed(batch)
            ours = Sampler(network, prior.encoding)
            with Rows() as rows, torch.no_grad():
                drawn = ours.sample(batch, generator)
            limit = rows.products(network.architecture)
            one, other, products = in_turns(
                rounds,
                lambda: ours.sample(batch, generator),  # noqa: B023
                lambda: plain.sample(network, prior.encoding, batch),  # noqa: B023
                torch.no_grad()(limit),
            )
            stepped = sum(rows.widths) / int(drawn.lengths.sum())
            table.append(
                [count, batch, f"{batch / one:.0f}", f"{batch / other:.0f}", f"{other / one:.2f}"]
                + [f"{products / one:.0%}", f"{stepped:.0%}"]
            )
    names = ["threads", "batch", "sequences/s", "plain", "ratio", "products' share of the time"]
    print(markdown([*names, "steps done, of all tokens"], table))


def replayed(size: int = 1024) -> Episodes:
    """Training batches with episodes of the shipped prior."""
    prior = load_prior("zinc250k")
    return Sampler(prior.network, prior.encoding).sample(size, torch.Generator().manual_seed(0))


def learner(threads: list[int], batches: list[int], rounds: int) -> None:
    episodes, table = replayed(), []
    returns = np.random.default_rng(0).normal(10.0, 2.0, len(episodes.lengths))
    for count in threads:
        torch.set_num_threads(count)
        for batch in batches:
            table.append([count, batch, *learner_row(episodes, returns, batch, rounds)])
    names = ["threads", "batch", "updates/s", "with a cached prior", "plain", "ratio"]
    print(markdown([*names, "cached", "products' share", "steps done, of plain's"], table))


def learner_row(
    episodes: Episodes, returns: np.ndarray, batch: int, rounds: int, updates: int = 3
) -> list[str]:
    """Row of the table: `updates` updates a turn by both, on the same batches."""
    prior = load_prior("zinc250k").network
    model = KLControlModel(prior, "path", KLControlSettings(), target_rate=0.05)
    groups = [{"params": [*model.online.network.parameters()]}, {"params": [model.online.level]}]
    optimizer = torch.optim.Adam(groups, lr=1e-5, fused=True)
    cache = PriorCache(model.prior_of_actions, torch.device("cpu"))
    peer = plain.Learner(prior, load_prior("zinc250k").network.train(), 1e-5)
    random = np.random.default_rng(batch)
    picks = [random.choice(len(returns), batch, replace=False) for _ in range(updates)]

    def cut(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lengths = episodes.lengths[rows]
        return episodes.tokens[rows, : lengths.max()], lengths

    def ours(cached: bool) -> None:
        for rows in picks:
            tokens, lengths = cut(rows)
            rewards = np.zeros(tokens.shape, np.float32)
            rewards[np.arange(batch), lengths - 1] = returns[rows]
            report = model.loss(
                torch.from_numpy(tokens.astype(np.int64)),
                torch.from_numpy(lengths.astype(np.int64)),
                torch.from_numpy(rewards),
                log_prior=torch.from_numpy(cache([(tokens, lengths)])[0]) if cached else None,
            )
            optimizer.zero_grad()
            report.loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.online.network.parameters(), 10.0)
            optimizer.step()

    def theirs() -> None:
        for rows in picks:
            peer.update(*cut(rows), returns[rows])

    products, steps = update_products(prior.architecture, [cut(rows) for rows in picks])
    own, cached, other, alone = in_turns(
        rounds, lambda: ours(False), lambda: ours(True), theirs, products
    )
    padded = sum(batch * int(episodes.lengths[rows].max()) for rows in picks)
    return [
        *(f"{updates / s:.2f}" for s in (own, cached, other)),
        *(f"{other / s:.2f}" for s in (own, cached)),
        f"{alone / cached:.0%}",
        f"{steps / padded:.0%}",
    ]


def update_products(
    sizes: Architecture, batches: list[tuple[np.ndarray, np.ndarray]]
) -> tuple[Callable[[], None], int]:
    """The matrix products of an update on each batch with a cached prior, and nothing else:
    forward, and backward by inputs and weights; and how many steps that is."""
    dtype = torch.bfloat16 if bfloat16_is_fast("cpu") else torch.float32
    gates, h = (4 if sizes.cell == "lstm" else 3) * sizes.hidden, sizes.hidden
    weights = torch.randn(gates, h, dtype=dtype)
    trees = [
        PrefixForest(
            torch.from_numpy(t.astype(np.int64)), torch.from_numpy(n.astype(np.int64)), 0
        ).trees[0]
        for t, n in batches
    ]
    most = max(tree.size for tree in trees)
    x, grads = torch.randn(most, h, dtype=dtype), torch.randn(most, gates, dtype=dtype)

    def run() -> None:
        for tree in trees:
            blocks, n = tree.blocks, tree.size
            for layer in range(sizes.layers):
                for i, j in zip(blocks, blocks[1:], strict=False):
                    linear(x[i:j], weights)
                    grads[i:j] @ weights
                grads[:n].t() @ x[:n]
                if layer:  # the first layer's input products are looked up
                    linear(x[:n], weights)
                    grads[:n] @ weights
                    grads[:n].t() @ x[:n]

    return torch.no_grad()(run), sum(tree.size for tree in trees)


def molecules(n: int) -> list[str]:
    """Valid and invalid SMILES as the shipped prior writes them."""
    return load_prior("zinc250k").sample(n, seed=1)


def scoring(rounds: int, size: int = 1000) -> None:
    """Print the table of scoring on one core; a turn scores all molecules with one component or
    sum of components."""
    aspirin = "CC(=O)Oc1ccccc1C(=O)O"
    single: dict[str, dict[str, tuple[str, ...]]] = {
        name: {name: (aspirin,) if name == "similarity" else ()} for name in plain.COMPONENTS
    }
    objective = {name: () for name in ("sa", "logp", "qed", "ring_penalty")}
    sums = single | {
        "the paper's objective": objective,
        "all six": {k: v for one in single.values() for k, v in one.items()},
    }
    smiles, table = molecules(size), []
    for name, parts in sums.items():
        components = [
            {"name": part} | ({"smiles": options[0]} if options else {})
            for part, options in parts.items()
        ]
        if parts is objective:
            components = [{"name": "sequence_tutor"}]
        reward = build_reward(
            RewardConfig.model_validate({"aggregate": "sum", "component": components})
        )

        def score_anew() -> None:
            identity._identify.cache_clear()  # or the second round would find all molecules parsed
            reward.score(smiles)  # noqa: B023

        one, other = in_turns(
            rounds,
            score_anew,
            lambda: plain.score(smiles, parts),  # noqa: B023
        )
        table.append([name, f"{size / one:.0f}", f"{size / other:.0f}", f"{other / one:.2f}"])
    print(markdown(["component", "molecules/s", "RDKit by component", "ratio"], table))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["sampler", "learner", "scoring"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=int, nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    keep_freed_memory()
    if options.what == "sampler":
        sampler(options.threads, options.batches or [128, 512, 2048], options.rounds)
    elif options.what == "learner":
        learner(options.threads, options.batches or [64, 256], options.rounds)
    else:
        scoring(options.rounds)


if __name__ == "__main__":
    main()
