"""Melodies per second and core: the nine rules alone, and a whole reward of text with them.

OMP_NUM_THREADS=1 python benchmarks/melody_rules.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
from common import load_prior, markdown

from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.melodies import PROFILES, rule_rewards_batch

REPEATS = 15


def per_second(call: Callable[[], object], melodies: int) -> float:
    """The median of several timings."""
    call()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return melodies / median(times)


def main() -> None:
    prior = load_prior("lieder")
    assert prior.data is not None
    rows: list[list[object]] = []
    for batch in (64, 512):
        texts = prior.data.training[:batch]
        tokens = np.stack([prior.encoding.encode(text) for text in texts])
        for profile in PROFILES:
            bundle = {"name": "music_theory", "profile": profile}
            reward = build_reward(
                RewardConfig.model_validate({"aggregate": "sum", "component": [bundle]}), "melodies"
            )
            rules = per_second(lambda t=tokens, p=profile: rule_rewards_batch(t, 32, p), batch)
            whole = per_second(lambda r=reward, t=texts: r.score(t), batch)
            rows.append([profile, batch, round(rules), round(whole)])
    print(markdown(["profile", "batch", "rules, melodies/s", "reward of text, melodies/s"], rows))


if __name__ == "__main__":
    main()
