"""The whole run against a plain loop, and the parts of its processor time.

    python benchmarks/pipeline.py
    python benchmarks/pipeline.py --set replay.ratio=1

The plain loop samples, scores, updates and repeats in one process, with the same network, batch
sizes, replay ratio and threads; see plain.py. Both are timed from their first update on. The
processor time is that of every process of the run over the same stretch.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import median

import numpy as np
import plain
import psutil
import torch
from common import EXAMPLES, load_prior, markdown, metrics_so_far, optimize_command
from processes import cpu_seconds
from rdkit import Chem

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import load_config
from sequence_tutor.policies.encodings.base import pad
from sequence_tutor.policies.kernels.device import keep_freed_memory


def ours(config: Path, out: Path, overrides: list[str], seconds: float) -> tuple[float, Counter]:
    """Sequences/s, and processor seconds by stage, starting 15 s after the first update."""
    shutil.rmtree(out, ignore_errors=True)
    limits = [f"stop.seconds={seconds + 60}", "stop.scores=1000000"]
    command = optimize_command(config, out, [*overrides, *limits])
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        process = psutil.Process(run.pid)
        while not metrics_so_far(out)["updates"]:
            if run.poll() is not None:
                raise RuntimeError(f"the run ended early; see {out}")
            time.sleep(0.5)
        time.sleep(15)
        first, before = metrics_so_far(out), cpu_seconds(process)
        time.sleep(seconds)
        last, spent = metrics_so_far(out), cpu_seconds(process)
        run.wait()
    spent.subtract(before)
    rows = last["sequences"] - first["sequences"]
    return rows / (last["elapsed_s"] - first["elapsed_s"]), spent


def peer(settings: RunConfig, seconds: float) -> tuple[float, dict[str, float]]:
    """Sequences/s of the plain loop, and seconds of each of its steps."""
    torch.set_num_threads(os.cpu_count() or 1)
    prior = load_prior(settings.prior)
    encoding, learner = prior.encoding, settings.learner
    policy = load_prior(settings.prior).network
    updater = plain.Learner(prior.network, policy, learner.learning_rate)
    random = np.random.default_rng(settings.seed)
    batch, each = settings.actors.batch, learner.batch
    updates = round(settings.replay.ratio * batch / each)
    parts = {name: () for name in ("sa", "logp", "qed", "ring_penalty")}
    memory: list[tuple[str, float]] = []
    spent: Counter[str] = Counter()
    began, sequences = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        times = [time.perf_counter()]
        tokens, lengths, _ = plain.sample(policy, encoding, batch)
        texts = [encoding.decode(row[:n]) for row, n in zip(tokens, lengths, strict=True)]
        times.append(time.perf_counter())
        values = plain.score(texts, parts) @ np.array([-2.0, 3.0, 50.0, 5.0])
        memory += zip(texts, np.nan_to_num(values, nan=-60.0).tolist(), strict=True)
        times.append(time.perf_counter())
        for _ in range(updates):
            chosen = [memory[i] for i in random.integers(len(memory), size=each)]
            share = settings.replay.rewrite
            drawn = [respelled(t) if random.random() < share else t for t, _ in chosen]
            encoded = pad([encode(encoding, t) for t in drawn])
            updater.update(*encoded, np.array([r for _, r in chosen]) / learner.temperature)
        times.append(time.perf_counter())
        for name, took in zip(("sample", "score", "update"), np.diff(times), strict=True):
            spent[name] += float(took)
        sequences += batch
    return sequences / (time.perf_counter() - began), dict(spent)


def respelled(smiles: str) -> str:
    mol = Chem.MolFromSmiles(smiles)
    return smiles if mol is None else Chem.MolToSmiles(mol, doRandom=True)


def encode(encoding, smiles: str) -> np.ndarray:  # type: ignore[no-untyped-def]
    try:
        return encoding.encode(smiles)[: encoding.max_length]
    except ValueError:
        return encoding.encode("C")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-pipeline"))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    config = EXAMPLES / "molecules.toml"
    settings = load_config(config, options.set)
    keep_freed_memory()
    rates, others, shares = [], [], []
    for _ in range(options.rounds):
        rate, spent = ours(config, options.out, options.set, options.seconds)
        other, steps = peer(settings, options.seconds)
        rates.append(rate)
        others.append(other)
        shares.append(spent)
        print(rate, other, dict(spent), steps, file=sys.stderr, flush=True)
    print(
        markdown(
            ["", "sequences/s"],
            [
                ["sequence-tutor optimize", f"{median(rates):.1f}"],
                ["plain loop", f"{median(others):.1f}"],
                ["ratio", f"{median(rates) / median(others):.2f}"],
            ],
        )
    )
    total = sum(shares, Counter())
    cores = (os.cpu_count() or 1) * options.seconds * options.rounds
    table = [
        [stage, f"{s / options.rounds:.1f}", f"{s / total.total():.1%}"]
        for stage, s in total.most_common()
    ]
    table.append(
        [
            "all",
            f"{total.total() / options.rounds:.1f}",
            f"{total.total() / cores:.0%} of the cores",
        ]
    )
    print(markdown(["process", "processor seconds", "share"], table))


if __name__ == "__main__":
    main()
