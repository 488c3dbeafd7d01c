"""The seam between a reward and whoever asks for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Protocol

import numpy as np


class Status(IntEnum):
    """What became of a sequence. Anything but OK and INVALID has no reward at all."""

    OK = 0
    INVALID = 1
    TIMEOUT = 2
    CRASHED = 3
    FAILED = 4


@dataclass(frozen=True)
class Scores:
    """The judgement of B sequences.

    rewards float64 [B], NaN unless OK or INVALID, or where the configuration pays failures, and
    NaN for INVALID ones that are worth the worst reward of a valid one (see `unpriced`); status
    int8 [B] of `Status`; errors, one text per sequence, empty where all went well; raw and
    transformed values per component, float64 [B], NaN where there is none; step_rewards float32
    [B,T] where the reward pays along the way (terminal reward included: a row sums to `rewards`),
    else None; step_raw float32 [B,T], the values by the action of the components that judge so, NaN
    after the end; seconds float32 [B], wall time spent on each, None where nobody looked at the
    clock.
    """

    rewards: np.ndarray
    """float64 [B]; NaN for failures, unless the config pays them, and for INVALID ones that are
    worth the worst reward of a valid one (see `unpriced`)."""
    status: np.ndarray
    """int8 [B] of `Status`."""
    errors: list[str]
    """B texts, "" where nothing went wrong."""
    raw: dict[str, np.ndarray] = field(default_factory=dict)
    """Raw values by component, float64 [B] each, NaN where there is none."""
    transformed: dict[str, np.ndarray] = field(default_factory=dict)
    """Transformed values by component, float64 [B] each, NaN where there is none."""
    step_rewards: np.ndarray | None = None
    """float32 [B,T] rewards by the action, the terminal one included, so that a row sums to
    `rewards`; None where the reward pays at the end only."""
    step_raw: dict[str, np.ndarray] = field(default_factory=dict)
    """Values by the action of each component that judges by the step, float32 [B,T] each, NaN
    after the end."""
    seconds: np.ndarray | None = None
    """float32 [B] wall seconds spent on each sequence; None where the time wasn't measured."""


@dataclass(frozen=True)
class Identity:
    """What a sequence is.

    key: the canonical form, equal for equal things, None for an invalid sequence; reason: why it is
    invalid, "" where it is valid; lost: None, or the status of a sequence whose process crashed or
    hung when it looked for the key (INVALID), or that no process could look at (CRASHED). Such a
    sequence isn't given to a reward.
    """

    key: str | None
    """Canonical form, equal for equal things; None for an invalid sequence."""
    reason: str = ""
    """Why the sequence is invalid, "" where it is valid."""
    lost: Status | None = None
    """INVALID where looking for the key crashed or hung a process, CRASHED where no process could
    look; None otherwise. A lost sequence isn't given to a reward."""


def unpriced(rewards: np.ndarray, status: np.ndarray) -> np.ndarray:
    """Which of B sequences, bool [B], are invalid and have no reward of their own: they are worth
    the worst reward of a valid one, which only those know that have seen many."""
    rows: np.ndarray = np.isnan(rewards) & (status == int(Status.INVALID))
    return rows


class Reward(Protocol):
    """A compiled objective."""

    def score(
        self, sequences: Sequence[str], tokens: Sequence[Sequence[str]] | None = None
    ) -> Scores:
        """Judge sequences; never raises for what a sequence does.

        `tokens`, the text of each action without the end token, is what per-step rewards need.
        """

    def identify(self, sequences: Sequence[str]) -> Sequence[Identity]:
        """What each sequence is; the reward itself isn't called."""


class Domain(Protocol):
    """The scoring side of an application, as the distributed part sees it."""

    name: str
    # whether looking at a sequence can harm the process that does so; see `rewards.isolation`
    isolated: bool
    # published results under the keys of `metrics`, by the name of their column
    published: Mapping[str, Mapping[str, float]]

    def identify(self, sequence: str) -> Identity:
        """The canonical form of a sequence, or why it has none."""

    def key(self, sequence: str) -> str | None:
        """The canonical form alone, equal for equal things; None for an invalid sequence."""

    def rewrite(self, sequence: str, random: np.random.Generator) -> str | None:
        """Another spelling of the same thing, or None where there is none."""

    def metrics(
        self, sequences: Sequence[str], training: Collection[str] | None = None
    ) -> dict[str, float]:
        """Numbers that describe a sample; what compares it with data needs `training` keys."""

    def render(self, sequences: Sequence[str], directory: Path) -> str:
        """Write files that show the valid ones to people, in pictures or sounds; what is where."""
