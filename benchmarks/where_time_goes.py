"""Where a run's time goes, and its speed against the same work in one plain Python process.

    python benchmarks/where_time_goes.py

The plain process is what one would write first: generate, score, learn, one after the other, with
the same network, batch sizes, replay ratio and number of threads, without Ray.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from common import EXAMPLES, load_prior, markdown, run

from sequence_tutor.distributed.config import RunConfig, load_config
from sequence_tutor.distributed.replay.answers import AddResult, Claim, Claims, Outcomes
from sequence_tutor.distributed.replay.sampler import FreshMix, RankSampler
from sequence_tutor.distributed.replay.shard import ReplayShard
from sequence_tutor.distributed.respell import Respeller
from sequence_tutor.distributed.scoring.scorer import Scorer
from sequence_tutor.distributed.types import Generated, Scored
from sequence_tutor.policies.kl_control import KLControlSettings
from sequence_tutor.policies.model import KLControlModel
from sequence_tutor.policies.sampler import Sampler
from sequence_tutor.rewards.build import build_reward
from sequence_tutor.rewards.domains import domain_of


class NothingKnown:
    """Stands in for the sharded replay: a plain script scores whatever it generates."""

    def __init__(self) -> None:
        self.rows: Scored | None = None

    def claim(self, keys: Sequence[str]) -> Claims:
        nothing = Outcomes(np.zeros(0), np.zeros(0, np.int8), np.zeros(0, np.float32), [])
        ours = np.full(len(keys), Claim.YOURS, np.int8)
        return Claims(ours, np.zeros(len(keys), np.int8), nothing, None, np.zeros(0, np.int64))

    def release(self, keys: Sequence[str]) -> None:
        pass

    def add(self, scored: Scored) -> AddResult:
        self.rows = scored
        return AddResult(len(scored), 0, len(scored))


def plain(settings: RunConfig, directory: Path, scores: int) -> dict[str, float]:
    """One process, one thing at a time; seconds of each and sequences per second."""
    learner, replay = settings.learner, settings.replay
    torch.set_num_threads(os.cpu_count() or 1)
    prior, domain = load_prior(settings.prior), domain_of(settings.encoding)
    model = KLControlModel(
        prior.network,
        learner.algorithm,
        KLControlSettings(learner.gamma, learner.mixing),
        learner.log_z == "learned",
        learner.target_rate,
    )
    groups = [
        {"params": list(model.online.network.parameters()), "lr": learner.learning_rate},
        {"params": [model.online.level], "lr": learner.level_learning_rate},
    ]
    optimizer = torch.optim.Adam(groups, fused=True)
    keeper = NothingKnown()
    scorer = Scorer(domain, build_reward(settings.reward), keeper, prior.encoding)
    directory.mkdir(parents=True, exist_ok=True)
    shard = ReplayShard(
        directory,
        sampler=FreshMix(RankSampler(replay.top, replay.rank_k), replay.fresh, replay.fresh_window),
        rewrite=Respeller(prior.encoding, domain),
        rewrite_share=replay.rewrite,
    )
    sampler = Sampler(model.policy, prior.encoding)
    generator = torch.Generator().manual_seed(settings.seed)
    spent = {"generate": 0.0, "score": 0.0, "replay": 0.0, "learn": 0.0}
    sequences = used = updates = 0
    begun = time.perf_counter()
    while used < scores:
        times = [time.perf_counter()]
        model.eval()
        episodes = sampler.sample(settings.actors.batch, generator)
        times.append(time.perf_counter())
        work = scorer.prepare(Generated(episodes, updates, "plain", "policy", 0.0))
        scorer.claim(work)
        scorer.store(work, scorer.score(work))
        times.append(time.perf_counter())
        used += shard.add(keeper.rows).paid if keeper.rows is not None else 0
        sequences += len(episodes.lengths)
        wanted = round(replay.ratio * settings.actors.batch / learner.batch)
        batches = [shard.sample(learner.batch, updates + i)[1] for i in range(wanted)]
        times.append(time.perf_counter())
        model.train()
        for batch in batches:
            report = model.loss(
                torch.from_numpy(batch.tokens.astype(np.int64)),
                torch.from_numpy(batch.lengths.astype(np.int64)),
                torch.from_numpy(batch.rewards / np.float32(learner.temperature)),
            )
            optimizer.zero_grad()
            report.loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.online.network.parameters(), learner.max_grad_norm)
            optimizer.step()
            model.after_update()
            updates += 1
        times.append(time.perf_counter())
        for name, seconds in zip(spent, np.diff(times), strict=True):
            spent[name] += float(seconds)
    return spent | {"sequences_per_s": sequences / (time.perf_counter() - begun)}


def distributed(out: Path) -> dict[str, float]:
    """Busy seconds of each kind of process over the steady part of a run, and its speed."""
    ticks = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    steady = [t for t in ticks if t["updates"] > 0][1:]
    seconds = steady[-1]["elapsed_s"] - steady[0]["elapsed_s"]
    names = {
        "generate": "generate_s",
        "score": "score_s",
        "replay": "replay_s",
        "learn": "learn_s",
        "broadcast": "broadcast_s",
        "driver waits": "driver_waiting_s",
    }
    spent = {name: sum(t[key] for t in steady[1:]) for name, key in names.items()}
    rows = steady[-1]["sequences"] - steady[0]["sequences"]
    return spent | {"wall": seconds, "sequences_per_s": rows / seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-time"))
    parser.add_argument("--scores", type=int, default=3000)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    overrides = [f"stop.scores={options.scores}", *options.set]
    config = EXAMPLES / "molecules.toml"
    out = run(config, options.out / "distributed", overrides)
    ours = distributed(out)
    theirs = plain(load_config(config, overrides), options.out / "plain", options.scores)
    rows = [
        [
            name,
            round(ours[name], 1),
            f"{ours[name] / ours['wall']:.0%}",
            round(theirs[name], 1) if name in theirs else "",
        ]
        for name in ours
        if name not in ("wall", "sequences_per_s")
    ]
    rows.append(
        [
            "sequences per second",
            round(ours["sequences_per_s"], 1),
            "",
            round(theirs["sequences_per_s"], 1),
        ]
    )
    print(markdown(["", "distributed, busy s", "share of wall time", "plain process, s"], rows))
    print(f"ratio of speeds: {ours['sequences_per_s'] / theirs['sequences_per_s']:.2f}")


if __name__ == "__main__":
    main()
