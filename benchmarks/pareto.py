"""Two properties at once: Pareto ranks, random weights, and fixed means, by hypervolume.

python benchmarks/pareto.py

Molecules like two drugs at once, celecoxib and tadalafil. The first table is of the policy alone,
the second of the genetic proposer with a policy that learns nothing. Random weights aren't part of
the package: here they are a `Worth` that draws new ones for each batch and each view.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import markdown

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import parse_config
from sequence_tutor.distributed.local import LocalRun
from sequence_tutor.distributed.replay.memory.columns import Column
from sequence_tutor.distributed.replay.record.writer import read_table
from sequence_tutor.distributed.replay.worth.ranks import ParetoRule
from sequence_tutor.distributed.replay.worth.worth import Worth, WorthRules
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.rewards.base import Scores
from sequence_tutor.rewards.compile import aggregate_of, build_reward
from sequence_tutor.rewards.pareto import front, hypervolume

DRUGS = {
    "celecoxib": "Cc1ccc(-c2cc(C(F)(F)F)nn2-c2ccc(S(N)(=O)=O)cc2)cc1",
    "tadalafil": "CN1CC(=O)N2C(Cc3c([nH]c4ccccc34)C2c2ccc3OCOc3c2)C1=O",
}
# Samples of the policy at the end of a run.
SAMPLES = 1000
SETTINGS: dict[str, dict[str, Any]] = {
    "policy": {},
    "genetic": {"replay": {"ratio": 0}, "proposers": {"genetic": {"batch": 64}}},
}


class RandomWeights(Worth):
    """A row is worth the mean of its values with weights that are drawn anew each time, uniformly
    from all that sum to 1; or, by Chebyshev, 1 less the greatest weighted shortfall to 1."""

    def __init__(self, rule: ParetoRule, seed: int, chebyshev: bool) -> None:
        super().__init__(WorthRules(), 0)
        self._rule, self._random = rule, np.random.default_rng(seed)
        self._chebyshev, self._values = chebyshev, Column(np.float64, len(DRUGS))

    def __bool__(self) -> bool:
        return True

    def add(
        self,
        numbers: np.ndarray,
        keys: Sequence[str],
        scores: Scores,
        groups: dict[str, np.ndarray],
        digests: np.ndarray,
    ) -> None:
        self._values.write(numbers, self._rule.values(scores.transformed, len(keys)))

    def of(self, numbers: np.ndarray, rewards: np.ndarray, valid: np.ndarray) -> np.ndarray:
        found = np.asarray(rewards, np.float64).copy()
        values = self._values.read(numbers[valid])[:, : len(DRUGS)]
        weights = self._random.dirichlet(np.ones(len(DRUGS)))
        if self._chebyshev:
            found[valid] = 1 - (weights / weights.max() * (1 - values)).max(axis=1)
        else:
            found[valid] = values @ weights
        return found


METHODS = {
    "arithmetic mean": "arithmetic_mean",
    "geometric mean": "geometric_mean",
    "random weights": "arithmetic_mean",
    "random weights, Chebyshev": "arithmetic_mean",
    "Pareto ranks": "pareto",
}


def config(method: str, setting: str, seed: int, scores: int) -> RunConfig:
    """A run of one method."""
    squeeze = {"type": "linear", "low": 0, "high": 0.6}
    parts = [
        {"name": "similarity", "label": name, "smiles": smiles, "transform": squeeze}
        for name, smiles in DRUGS.items()
    ]
    return parse_config(
        {
            "mode": "synchronous",
            "seed": seed,
            "reward": {"aggregate": METHODS[method], "component": parts},
            "learner": {"temperature": 0.02},
            "stop": {"scores": scores},
            **SETTINGS[setting],
        }
    )


def values_of(transformed: Sequence[np.ndarray]) -> np.ndarray:
    """Complete rows of two properties, float64 [N,2]."""
    values = np.stack(list(transformed), axis=1)
    return values[np.isfinite(values).all(axis=1)]


def measure(method: str, setting: str, seed: int, scores: int) -> dict[str, float]:
    """The hypervolume of all that a run has scored, the size of its front, and the hypervolume of
    samples of its policy."""
    run = config(method, setting, seed, scores)
    with tempfile.TemporaryDirectory() as directory:
        one = LocalRun(run, Location(directory))
        if method.startswith("random"):
            rule = ParetoRule(*aggregate_of(run.reward, "molecules"))
            for number, shard in enumerate(one.replay.calls._shards):  # type: ignore[attr-defined]
                own = RandomWeights(rule, 1000 * seed + number, method.endswith("Chebyshev"))
                shard._memory.worth = own
        while not one.finished():
            one.train()
        one.drain()
        samples = one.policy().sample(SAMPLES, seed)
        one.stop()
        table = read_table(Path(directory) / "scores")
        record = values_of([table[f"transformed.{name}"].to_numpy() for name in DRUGS])
    sampled = values_of(list(build_reward(run.reward).score(samples).transformed.values()))
    found = {
        "record": hypervolume(record),
        "front": float(front(record).sum()),
        "policy": hypervolume(sampled),
    }
    print("#", setting, method, seed, found, file=sys.stderr, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--settings", default=",".join(SETTINGS))
    options = parser.parse_args()

    for setting in options.settings.split(","):
        rows: list[list[object]] = []
        for method in METHODS:
            runs = [measure(method, setting, seed, options.scores) for seed in range(options.seeds)]
            columns = ("record", "front", "policy")[: 3 if setting == "policy" else 2]
            found = {name: np.array([one[name] for one in runs]) for name in columns}
            rows.append([method, *(f"{v.mean():.3g} +- {v.std():.2g}" for v in found.values())])
        titles = ["hypervolume of the record", "rows of the front", "of 1,000 samples"]
        print(f"\n{setting}, {options.scores} scores, {options.seeds} seeds\n")
        print(markdown(["training sees", *titles[: len(columns)]], rows))


if __name__ == "__main__":
    main()
