"""Warns where the rewards of a warm start don't fit the run's own reward, without calling it."""

from __future__ import annotations

import math

import numpy as np

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError
from sequence_tutor.distributed.run_directory.earlier_runs import places_of
from sequence_tutor.distributed.run_directory.resume import config_of
from sequence_tutor.policies.files.storage import Location, Where
from sequence_tutor.rewards.bounds import reward_range

# How far a reward may lie outside the range, as a share of its bounds: files have rounded values.
ROUNDING = 1e-6


def scale_warnings(rewards: np.ndarray, where: Where, run: RunConfig, domain: str) -> list[str]:
    """Warnings about rewards, float64 [N], of valid sequences that are from `where`."""
    return [
        warning
        for warning in (
            _other_reward(Location(where), run),
            _outside(rewards, Location(where), run, domain),
            _constant(rewards, Location(where)),
        )
        if warning
    ]


def _outside(rewards: np.ndarray, where: Location, run: RunConfig, domain: str) -> str:
    low, high = reward_range(run.reward, domain)
    margin = ROUNDING * max([abs(end) for end in (low, high) if math.isfinite(end)], default=0.0)
    outside = rewards[(rewards < low - margin) | (rewards > high + margin)]
    if not len(outside):
        return ""
    return (
        f"{len(outside)} of {len(rewards)} rewards in {where} are outside the range of [reward] "
        f"({_interval(low, high)}), such as {outside[0]:g}: they seem to be on another scale, and "
        "the run learns from both; convert them, or choose others with --reward-column or "
        "--lower-is-better"
    )


def _interval(low: float, high: float) -> str:
    if not math.isfinite(high):
        return f"at least {low:g}"
    return f"{low:g} to {high:g}" if math.isfinite(low) else f"at most {high:g}"


def _constant(rewards: np.ndarray, where: Location) -> str:
    if len(rewards) < 2 or np.ptp(rewards) > 0:
        return ""
    return (
        f"all {len(rewards)} rewards in {where} are {rewards[0]:g}: they don't say which sequences "
        "are better"
    )


def _other_reward(where: Location, run: RunConfig) -> str:
    """A warning where the rewards are of a run or result of `score` with another [reward]."""
    for directory, _ in places_of(where):
        try:
            before = config_of(directory)
        except ConfigError:  # none, or one of an older version
            continue
        if (before.encoding, before.reward.identity()) != (run.encoding, run.reward.identity()):
            return (
                f"{where} was scored with another [reward] than this run's (see "
                f"{directory / 'config.toml'}): its rewards may be on another scale"
            )
    return ""
