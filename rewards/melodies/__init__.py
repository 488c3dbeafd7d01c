"""Melodies: scoring by nine rules of music theory, metrics, and rendering."""

from sequence_tutor.rewards.melodies.melody import Melodies
from sequence_tutor.rewards.melodies.rules import (
    PROFILES,
    RULE_NAMES,
    RULES,
    Profile,
    rule_rewards,
    rule_rewards_batch,
)

__all__ = [
    "PROFILES",
    "RULES",
    "RULE_NAMES",
    "Melodies",
    "Profile",
    "rule_rewards",
    "rule_rewards_batch",
]
