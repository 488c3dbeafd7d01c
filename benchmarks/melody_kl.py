"""What KL-control is for: each bundle of rules, with the temperature of the example and with one so
low that the prior hardly counts, to the same mean reward; then measures that no reward asked for.

python benchmarks/melody_kl.py --out runs/melody-kl --seeds 0 1 2

`at the same reward` is the run without KL-control when its mean reward first reaches the one that
KL-control ends with, over the last 1,024 melodies; `to the end` is the same run after as many
scores as the other.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from common import describe_policy, markdown, training_keys

from sequence_tutor.distributed.commands.python_api import optimize_rounds
from sequence_tutor.policies.prior import Prior, load_prior
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.domains import domain_of

# The components of a run, its temperature, and one at which exp(r/c) leaves nothing of the prior.
BUNDLES: dict[str, tuple[dict[str, Any], float, float]] = {
    "music_theory": (
        {
            "name": "music_theory",
            "weights": {"preferred_intervals": 0.2, "tonic": 0.5, "repetition": 0.1},
        },
        2.0,
        0.05,
    ),
    "human_range": ({"name": "human_range"}, 0.5, 0.01),
}
SHOWN = (
    "reward",
    "nll",
    "distinct",
    "mean_longest_copied",
    "overlap_pitch_class",
    "overlap_note_length",
    "overlap_pitch_range",
    "overlap_pitch_transitions",
    "overlap_note_length_transitions",
    "pitch_entropy",
    "notes_per_melody",
)
WINDOW = 1024  # melodies whose mean reward is compared
SAMPLES = 2000


def config(component: dict[str, Any], temperature: float, seed: int, scores: int) -> dict[str, Any]:
    """The config of a run, as examples/melodies.toml."""
    return {
        "encoding": "melody",
        "prior": "lieder",
        "seed": seed,
        "reward": {"aggregate": "sum", "component": [component]},
        "learner": {
            "temperature": temperature,
            "batch": 32,
            "learning_rate": 3e-4,
            "updates_per_call": 16,
            "threads": 1,
        },
        "replay": {"ratio": 2, "sampling": "uniform", "fresh": 0.5, "fresh_window": 4096},
        "actors": {"batch": 256, "threads": 1},
        "stop": {"scores": scores},
    }


def run(settings: dict[str, Any], out: Path, until: float) -> tuple[Prior, float]:
    """The policy at the first round where the mean reward of the last WINDOW melodies reaches
    `until`, or at the end, and that mean."""
    rewards: list[float] = []
    made = None
    rounds = optimize_rounds(settings, out)
    for made in rounds:
        rewards.append(made.metrics.reward_mean)
        mean = float(np.mean(rewards[-WINDOW // 256 :]))
        if len(rewards) >= WINDOW // 256 and mean >= until:
            break
    assert made is not None
    policy = made.policy()
    rounds.close()
    return policy, mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/melody-kl"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--scores", type=int, default=30_000)
    options = parser.parse_args()
    prior, domain = load_prior("lieder"), domain_of("melody")
    training = training_keys(prior)
    for name, (component, warm, cold) in BUNDLES.items():
        objective = {"aggregate": "sum", "component": [component]}
        reward = build_reward(RewardConfig.model_validate(objective), domain.name)
        columns: dict[str, list[dict[str, float]]] = {}
        for seed in options.seeds:
            place = options.out / f"{name}-{seed}"
            settings = [config(component, c, seed, options.scores) for c in (warm, cold)]
            controlled, reached = run(settings[0], place / "kl", float("inf"))
            same, _ = run(settings[1], place / "same", reached)
            end, _ = run(settings[1], place / "end", float("inf"))
            for title, policy in (
                ("prior", prior),
                (f"KL-control, c = {warm:g}", controlled),
                ("without, at the same reward", same),
                ("without, to the end", end),
            ):
                numbers = describe_policy(policy, prior, reward, training, SAMPLES)
                columns.setdefault(title, []).append(numbers)
        means = {
            title: {key: float(np.mean([one[key] for one in numbers])) for key in SHOWN}
            for title, numbers in columns.items()
        }
        rows = [[key.replace("_", " "), *(m[key] for m in means.values())] for key in SHOWN]
        print(f"\n{name}, {len(options.seeds)} seeds\n")
        print(markdown(["", *columns], rows))


if __name__ == "__main__":
    main()
