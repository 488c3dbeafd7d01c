"""The least and greatest reward that a config allows, and the reward of an invalid sequence, which
is never above that of a valid one unless the user sets it so.

The limits are those of valid sequences. They are known for components that were registered with
limits, and for others, such as a user's function, only where a bounded transform follows.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from sequence_tutor.rewards.aggregate import AGGREGATES, OF_0_TO_1
from sequence_tutor.rewards.chosen import chosen_components, sole_component
from sequence_tutor.rewards.config import ComponentConfig, RewardConfig
from sequence_tutor.rewards.registry import Component, components

UNKNOWN = (-math.inf, math.inf)


class InvalidWorth(NamedTuple):
    """The reward of an invalid sequence."""

    value: float
    """The reward; NaN where it differs between sequences or isn't known before the run."""
    said: str
    """The same in words, after "an invalid sequence is worth"."""
    warning: str = ""
    """What is wrong with the value, "" where nothing is."""
    late: bool = False
    """Whether it is the worst reward of the valid sequences so far."""


def worth_of_invalid(config: RewardConfig, domain: str) -> InvalidWorth:
    """The reward of an invalid sequence: `config.invalid`; else that of a sole component; else the
    least reward of a valid sequence; else the worst reward of a valid sequence so far. Raises as
    `reward_range`."""
    low, high = reward_range(config, domain)
    if config.invalid is not None:
        return InvalidWorth(
            config.invalid, f"{config.invalid:g} (reward.invalid)", _warning(config, low, high)
        )
    sole = sole_component(config, domain)
    if sole is not None and sole.invalid is not None:
        return InvalidWorth(math.nan, f"what {sole.name} says")
    if math.isfinite(low):
        return InvalidWorth(low, f"{low:g} (the least that a valid one can be worth)")
    return InvalidWorth(math.nan, "the worst reward of a valid one so far", late=True)


def _warning(config: RewardConfig, low: float, high: float) -> str:
    """The warning where an invalid sequence may be worth more than a valid one; else ""."""
    assert config.invalid is not None
    if math.isfinite(low) and config.invalid > low:
        valid = f"a valid one may be worth as little as {low:g}"
    elif math.isfinite(high) and config.invalid >= high:
        valid = f"no valid one can be worth more than {high:g}"
    else:
        return ""
    return (
        f"reward.invalid = {config.invalid:g} is too high: {valid}, so the policy may learn to "
        "make invalid sequences; leave reward.invalid out, or make it lower"
    )


def reward_range(config: RewardConfig, domain: str) -> tuple[float, float]:
    """The least and the greatest reward of a valid sequence; -inf and inf where they are unknown.

    Raises ValueError with one sentence for unknown components or options.
    """
    chosen, known = chosen_components(config, domain), components(domain)
    scores = [one for one in chosen if one.role == "score"]
    ranges = [_component_range(one, known[one.name]) for one in scores]
    if any(one.options.get("prefix_terms") for one in chosen):
        return UNKNOWN  # the prefix terms are added
    if config.aggregate in OF_0_TO_1:  # a value outside 0..1 is a failure
        ranges = [(max(low, 0.0), min(high, 1.0)) for low, high in ranges]
    weights = np.array([one.weight for one in scores])
    low, high = (_aggregated(config, np.array(ends), weights) for ends in zip(*ranges, strict=True))
    if len(scores) < len(chosen):  # filters and penalties multiply; a value below 0 is a failure
        return 0.0, max(0.0, high)
    return low, high


def _component_range(one: ComponentConfig, found: Component) -> tuple[float, float]:
    """The range of a component's transformed values."""
    raw = UNKNOWN if found.judges_steps(one.options) else found.range_with(one.options)
    if one.transform is None:
        return raw
    return one.transform.transform.range(*raw, **one.transform.options)


def _aggregated(config: RewardConfig, ends: np.ndarray, weights: np.ndarray) -> float:
    """The aggregate of the lower, or the upper, end of every range. It is computed as rewards are,
    so that no reward is outside the range by rounding. All aggregates grow with each value."""
    ends = np.where(weights > 0, ends, 0.0)  # 0 times an infinite end would be NaN
    return float(AGGREGATES[config.aggregate](ends[None], weights)[0]) + 0.0  # never -0.0
