"""Functions of several benchmarks: run a config, read its record, describe its policy."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from sequence_tutor.distributed.replay.record.writer import read_table
from sequence_tutor.distributed.report.evaluation import describe
from sequence_tutor.policies.prior import Prior, load_prior
from sequence_tutor.rewards.base import Reward
from sequence_tutor.rewards.domains import domain_of

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def optimize_command(config: Path, out: Path, overrides: Sequence[str]) -> list[str]:
    """`sequence-tutor optimize` with keys set."""
    sets = [word for override in overrides for word in ("--set", override)]
    return ["sequence-tutor", "optimize", str(config), "--out", str(out), *sets]


def run(config: Path, out: Path, overrides: Sequence[str]) -> Path:
    """`sequence-tutor optimize` in a process of its own; a finished run is not repeated."""
    if not (out / "policy").is_dir():
        command = optimize_command(config, out, overrides)
        print("#", " ".join(command), file=sys.stderr, flush=True)
        subprocess.run(command, check=True, stdout=sys.stderr)
    return out


def last_metrics(out: Path) -> dict[str, float]:
    """The last tick of a run."""
    lines = (out / "metrics.jsonl").read_text().splitlines()
    return dict(json.loads(lines[-1]))


def metrics_so_far(out: Path) -> dict[str, float]:
    """The last tick of a run under way; without updates if there is none yet."""
    path = out / "metrics.jsonl"
    return last_metrics(out) if path.is_file() and path.stat().st_size else {"updates": 0}


def rewards_in_order(out: Path, budget: int) -> np.ndarray:
    """Rewards of distinct valid sequences in the order they were scored, float64 [<= budget]."""
    table = read_table(out / "scores").filter(pc.field("status") == "ok").sort_by("scored_at")
    return np.asarray(table.column("reward").to_numpy()[:budget])


def auc_top10(rewards: np.ndarray, budget: int, every: int = 100) -> float:
    """Mean of the top-10 mean over the budget, by trapezoids each `every` scores.

    As PMO (Gao et al. 2022) computes it; an unused rest of the budget counts at the last value.
    """
    marks = np.arange(every, len(rewards) + 1, every)
    curve = [float(np.sort(rewards[:m])[-10:].mean()) for m in marks]
    total, before = 0.0, 0.0
    for value in curve:
        total += every * (before + value) / 2
        before = value
    total += (budget - every * len(curve)) * before
    return total / budget


def describe_policy(
    policy: Prior, prior: Prior, reward: Reward, training: set[str] | None, n: int, seed: int = 0
) -> dict[str, float]:
    """Metrics of n samples, the mean reward, and the KL to the prior in nats per sequence."""
    domain = domain_of(prior.encoding.name)
    return describe(policy.sample(n, seed), domain, reward, training, prior, policy)


def training_keys(prior: Prior) -> set[str] | None:
    """The keys of the training data in a prior's directory; None without data."""
    if prior.data is None:
        return None
    domain = domain_of(prior.encoding.name)
    return {domain.key(s) or s for s in prior.data.training}


def markdown(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table for docs/results/; floats get four significant digits."""

    def cell(value: object) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(map(cell, row)) + " |" for row in rows]
    return "\n".join(lines)


__all__ = [
    "EXAMPLES",
    "auc_top10",
    "describe_policy",
    "last_metrics",
    "load_prior",
    "markdown",
    "rewards_in_order",
    "run",
    "training_keys",
]
