"""Settings that benchmarks/pmo.py compares, as tables of a config.

`default` is what the product does with [proposers.genetic] and [screen]; the others leave something
out, or are another method's published settings on this engine.
"""

from __future__ import annotations

import os
from copy import deepcopy
from typing import Any

from sequence_tutor.rewards.molecules.tasks.activity import ACTIVITY_TASKS, FOLDER

# One thread each: runs are side by side. One shard: rows are on record in their order.
COMMON: dict[str, Any] = {
    "mode": "synchronous",
    "actors": {"batch": 16, "threads": 1},
    "learner": {"temperature": 0.02, "threads": 1},
    "replay": {"ratio": 1.0, "shards": 1},
    "checkpoint": {"seconds": 120.0, "updates": 10**9, "keep": 1},
}
GENETIC: dict[str, Any] = {"batch": 320}
SCREEN: dict[str, Any] = {}

PRESETS: dict[str, dict[str, Any]] = {
    "default": {"proposers": {"genetic": GENETIC}, "screen": SCREEN},
    # for people who make the molecules: no alerts, and as plausible as 95 % of the prior's samples
    "practical": {
        "proposers": {"genetic": GENETIC},
        "screen": {"plausible": 0.95, "filters": True},
        "actors": {"batch": 64},
        "replay": {"ratio": 4.0},
    },
    # children and screen alone: the actor samples the prior, and nothing is learned
    "no-policy": {
        "proposers": {"genetic": GENETIC},
        "screen": SCREEN,
        "replay": {"ratio": 0},
    },
    # the same, and half of each batch must be as plausible as 95 % of the prior's samples
    "mixed": {
        "proposers": {"genetic": GENETIC},
        "screen": {"plausible": 0.95, "practical_share": 0.5},
        "replay": {"ratio": 0},
    },
    "no-screen": {"proposers": {"genetic": {"batch": 32}}, "actors": {"batch": 32}},
    "no-genetic": {"screen": SCREEN, "actors": {"batch": 320}},
    "policy": {"actors": {"batch": 64}, "replay": {"ratio": 8}},
    # Olivecrona et al. 2017 as PMO runs it: 64 samples a step, sigma 500, learning rate 5e-4, and
    # experience replay of 24 beside the 64; here path consistency with a learned log Z, one draw of
    # each new row, and a quarter of a batch from the best 100
    "reinvent": {
        "actors": {"batch": 64},
        "learner": {"temperature": 1 / 500, "learning_rate": 5e-4},
        "replay": {"ratio": 1.375, "fresh": 0.73, "fresh_window": 64, "top": 100, "rewrite": 0},
    },
    # Kim et al. 2024: reward strength 50, rank weight .01, 8 updates of 64 for each 64 samples, and
    # two generations of 8 children for each
    "genetic-gfn": {
        "actors": {"batch": 64},
        "proposers": {"genetic": {"batch": 16, "parents": 64}},
        "learner": {"temperature": 1 / 50, "learning_rate": 5e-4},
        "replay": {"ratio": 6.4, "fresh": 0, "rank_k": 0.01, "rewrite": 0},
    },
}


def settings(preset: str, task: str, seed: int, scores: int) -> dict[str, Any]:
    """The config of a run as nested dicts. Raises KeyError for an unknown preset, ValueError where
    a task lacks its model."""
    config = _over(deepcopy(COMMON), PRESETS[preset])
    return config | {
        "seed": seed,
        "reward": {"component": [{"name": task} | _model(task)]},
        "stop": {"scores": scores},
    }


def _model(task: str) -> dict[str, str]:
    """The option of the tasks that are models. Raises ValueError where FOLDER isn't set."""
    if task not in ACTIVITY_TASKS:
        return {}
    if not (folder := os.environ.get(FOLDER)):
        raise ValueError(f"{task} is a model: set {FOLDER} as docs/tasks.md says, or name --tasks")
    return {"model": os.path.join(folder, f"{task}_current.pkl")}


def _over(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The tables with the keys of `changes` on top."""
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        base[key] = _over(dict(base[key]), value) if both else deepcopy(value)
    return base
