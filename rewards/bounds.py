"""What a reward is worth at least and at most, as far as its config tells.

The limits are those of valid sequences. They are known of our own components and of those whose
authors give them at registration; of a user's function only where a bounded transform follows.
"""

from __future__ import annotations

import math

import numpy as np

from sequence_tutor.rewards.aggregate import AGGREGATES
from sequence_tutor.rewards.chosen import chosen_components
from sequence_tutor.rewards.config import ComponentConfig, RewardConfig
from sequence_tutor.rewards.registry import Component, components

UNKNOWN = (-math.inf, math.inf)


def reward_range(config: RewardConfig, domain: str) -> tuple[float, float]:
    """The least and the greatest reward of a valid sequence; -inf and inf where they are unknown.

    Raises ValueError with one sentence for components or options that there aren't.
    """
    chosen, known = chosen_components(config, domain), components(domain)
    ranges = [_component_range(one, known.get(one.name)) for one in chosen]
    if any(one.options.get("prefix_terms") for one in chosen):
        return UNKNOWN  # what is paid on the way comes on top
    if config.aggregate == "geometric_mean":  # a value outside 0..1 is a failure
        ranges = [(max(low, 0.0), min(high, 1.0)) for low, high in ranges]
    weights = np.array([one.weight for one in chosen])
    low, high = (_aggregated(config, np.array(ends), weights) for ends in zip(*ranges, strict=True))
    return low, high


def _component_range(one: ComponentConfig, found: Component | None) -> tuple[float, float]:
    """The range of what goes into the aggregate."""
    raw = UNKNOWN if found is None or found.steps else found.range
    if one.transform is None:
        return raw
    return one.transform.transform.range(*raw, **one.transform.options)


def _aggregated(config: RewardConfig, ends: np.ndarray, weights: np.ndarray) -> float:
    """The aggregate of one end of every range, computed as rewards are, so that rounding takes no
    reward out of the range. All aggregates grow with each of their values."""
    ends = np.where(weights > 0, ends, 0.0)  # what has no weight doesn't count, however large
    return float(AGGREGATES[config.aggregate](ends[None], weights)[0])
