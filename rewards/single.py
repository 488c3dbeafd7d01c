"""The value of one component for one sequence, to try it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.registry import RESERVED


def value_of(
    name: str, sequence: str, options: Mapping[str, Any], domain: str = "molecules"
) -> float:
    """The raw value. Raises ValueError with one sentence for an unknown name or option, an invalid
    sequence, and where the component fails."""
    if wrong := RESERVED.intersection(options):
        raise ValueError(f"{min(wrong)!r} is no option of component {name!r}")
    config = RewardConfig.model_validate({"component": [{"name": name, **options}]})
    scores = build_reward(config, domain).score([sequence])
    if scores.errors[0]:
        raise ValueError(f"{sequence[:60]!r}: {scores.errors[0]}")
    (values,) = scores.raw.values()
    return float(values[0])
