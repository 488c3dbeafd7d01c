"""Whether runs with `learner.kl` end at the KL that is asked for, for rewards of other scales.

OMP_NUM_THREADS=1 python benchmarks/kl.py
OMP_NUM_THREADS=1 python benchmarks/kl.py --rewards qed --scores 2000 --kl 10 --trace
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import describe_policy, markdown
from docking_like import docking_like

from sequence_tutor.distributed.config_file import parse_config
from sequence_tutor.distributed.local import LocalRun
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.prior import load_prior
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.domains import domain_of

# The range of QED is 0 to 1, of the paper's objective some tens, and the third has none.
REWARDS: dict[str, dict[str, Any]] = {
    "qed": {"name": "qed"},
    "sequence_tutor": {"name": "sequence_tutor"},
    "docking_like": {"name": "python", "function": docking_like},
}


def tuned(name: str, out: Path, options: argparse.Namespace) -> list[object]:
    """A run and its row of the table."""
    learner: dict[str, Any] = {"kl": options.kl, "threads": 1, "batch": options.batch}
    if options.auto:
        learner = {k: v for k, v in learner.items() if k != "kl"} | {"temperature": "auto"}
    run = parse_config(
        {
            "seed": options.seed,
            "mode": "synchronous",
            "reward": {"component": [REWARDS[name]]},
            "learner": learner,
            "replay": {"ratio": options.ratio, "shards": 1},
            "stop": {"scores": options.scores},
        }
    )
    started, cpu_started = time.monotonic(), time.process_time()
    local = LocalRun(run, Location(out / name))
    while not local.finished():
        local.train()
        m = local.last_metrics
        if options.trace:
            print(
                f"# {name} {m.updates} updates  KL {m.kl_to_prior:.2f}  c {m.temperature:.4g}  "
                f"reward {m.reward_mean:.4g}  valid {m.valid_share:.0%}  repeated "
                f"{m.repeated_share:.0%}  start {m.start_value:.1f}  residual {m.residual:.2f}",
                flush=True,
            )
    local.drain()
    seconds, cpu_seconds = time.monotonic() - started, time.process_time() - cpu_started
    policy, m = local.policy(), local.last_metrics
    local.stop()
    reward = build_reward(run.reward, domain_of(run.encoding).name)
    found = describe_policy(policy, load_prior(run.prior), reward, None, options.samples, seed=1)
    asked, kl = run.learner.asked_kl, found["kl_to_prior"]
    assert asked is not None
    missed = f"{kl / asked - 1:+.0%}"
    share = f"{found['valid']:.1%}", f"{found['distinct']:.1%}"
    numbers = [asked, round(kl, 2), missed, *share, found["reward"], m.temperature]
    return [name, *numbers, m.updates, round(seconds), round(cpu_seconds)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rewards", default=",".join(REWARDS))
    parser.add_argument("--kl", type=float, default=5.0)
    parser.add_argument("--auto", action="store_true")
    parser.add_argument("--scores", type=int, default=8000)
    parser.add_argument("--ratio", type=float, default=4.0)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trace", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        rows = []
        for name in options.rewards.split(","):
            rows.append(tuned(name, Path(out), options))
            print("#", *rows[-1], file=sys.stderr, flush=True)
    columns = ["reward", "KL asked", "KL measured", "missed by", "valid", "distinct"]
    columns += ["mean reward", "c at the end", "updates", "seconds", "CPU seconds"]
    print(markdown(columns, rows))


if __name__ == "__main__":
    main()
