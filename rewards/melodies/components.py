"""The nine rules as components; importing this registers them, and the bundle of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sequence_tutor.rewards.melodies.melody import Melodies
from sequence_tutor.rewards.melodies.rules import RULE_NAMES, RULES, Profile
from sequence_tutor.rewards.registry import bundle, component, unknown


@dataclass(frozen=True)
class Gathered:
    """B melodies, grouped by length."""

    size: int
    """Number of melodies B."""
    groups: list[tuple[np.ndarray, Melodies]]
    """For each length, int64 [n] places of its melodies among all B, and these melodies."""


def gather(melodies: Sequence[np.ndarray]) -> Gathered:
    """Group whole melodies, int64 [T] each, by their length."""
    lengths = np.array([len(m) for m in melodies], dtype=np.int64)
    groups = []
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        groups.append((rows, Melodies(np.stack([melodies[int(i)] for i in rows]), int(length))))
    return Gathered(len(melodies), groups)


def _register(name: str) -> Callable[..., list[np.ndarray] | np.ndarray]:
    @component(name, domain="melodies", steps=True)
    def rule(melodies: Gathered, profile: Profile = "corrected") -> list[np.ndarray] | np.ndarray:
        if len(melodies.groups) == 1:
            return RULES[profile][name](melodies.groups[0][1])
        rewards = [np.empty(0)] * melodies.size
        for rows, batch in melodies.groups:
            for row, values in zip(rows, RULES[profile][name](batch), strict=True):
                rewards[row] = values
        return rewards

    return rule


for _name in RULE_NAMES:
    _register(_name)


@bundle("music_theory", domain="melodies")
def music_theory(
    profile: Profile = "corrected", weights: dict[str, float] | None = None
) -> list[dict[str, Any]]:
    """All nine rules; a rule that `weights` doesn't name has weight 1."""
    for name in weights or {}:
        if name not in RULE_NAMES:
            raise ValueError(unknown("rule", name, RULE_NAMES))
    return [
        {"name": name, "profile": profile, "weight": (weights or {}).get(name, 1.0)}
        for name in RULE_NAMES
    ]
