"""The nine rules by profile and name, one at a time or all together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from sequence_tutor.rewards.melodies import corrected_rules, paper_rules
from sequence_tutor.rewards.melodies.melody import Floats, Melodies
from sequence_tutor.rewards.melodies.time import COMMON, Time

Profile = Literal["paper", "corrected"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
RULE_NAMES = (
    "key",
    "tonic",
    "repetition",
    "autocorrelation",
    "motif",
    "repeated_motif",
    "preferred_intervals",
    "leaps",
    "unique_extremes",
)

Rule = Callable[..., Floats]
# RULES[profile][name](melodies) -> float64 [B,T]; rules of `corrected` may have options
RULES: dict[str, dict[str, Rule]] = {
    profile: {name: getattr(module, name) for name in RULE_NAMES}
    for profile, module in (("paper", paper_rules), ("corrected", corrected_rules))
}


def rule_rewards_batch(
    tokens: ArrayLike, length: int = 32, profile: str = "corrected", time: Time = COMMON
) -> dict[str, Floats]:
    """Unweighted rewards of each rule by the step: tokens int [B,T] -> float64 [B,T] per rule.

    T may be less than the melodies' `length`: the rewards of a prefix are the prefix of the
    rewards. Raises ValueError for an unknown profile and for what `Melodies` refuses.
    """
    if profile not in PROFILES:
        raise ValueError(f"unknown profile {profile!r}; there are: {', '.join(PROFILES)}")
    melodies = Melodies(tokens, length, time)
    return {name: rule(melodies) for name, rule in RULES[profile].items()}


def rule_rewards(
    tokens: ArrayLike, length: int = 32, profile: str = "corrected"
) -> dict[str, Floats]:
    """`rule_rewards_batch` of one melody: tokens int [T] -> float64 [T] per rule."""
    one = np.asarray(tokens)
    if one.ndim != 1:
        raise ValueError(f"a melody must be tokens [T], not of shape {one.shape}")
    rewards = rule_rewards_batch(one[None], length, profile)
    return {name: values[0] for name, values in rewards.items()}
