"""The bottleneck of a run: the stage whose processes are busy nearly all the time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

# The driver's own work counts as a stage: with very many scorers it is the bottleneck.
STAGES = ("generation", "screening", "scoring", "learning", "driver")
REPLAY_RATIO = "replay ratio"
# Share of the time below which a busy stage doesn't count as the bottleneck by itself.
BUSY = 0.7
# Size of the replay's balance, as a share of the slack, from which on one side has to wait.
OFF_BALANCE = 0.8
# Time constant of the smoothing, in seconds: work WINDOW_S ago counts 1/e.
WINDOW_S = 30.0


class BusyShares:
    """The recent share of the time that a process of each stage was busy.

    Smoothed, because work is reported when it is done: several seconds of it in one tick, and none
    in the next ones.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._work = dict.fromkeys(STAGES, 0.0)

    def add(self, seconds: float, work: Mapping[str, float]) -> dict[str, float]:
        """Add a period of `seconds`, in which one process of each stage worked for `work` seconds
        on average. Returns the shares, 0 to 1, by stage."""
        fading = math.exp(-seconds / WINDOW_S)
        self._seconds = fading * self._seconds + seconds
        for stage in STAGES:
            self._work[stage] = fading * self._work[stage] + work[stage]
        return {s: min(max(self._work[s] / self._seconds, 0.0), 1.0) for s in STAGES}


class Bottleneck(NamedTuple):
    """The stage that limits the speed of a run."""

    stage: str
    """One of STAGES, REPLAY_RATIO, or "" while no stage has worked."""
    text: str
    """The same for people, with how busy the stage is or which side waits."""


def bottleneck(busy: Mapping[str, float], queue: int, balance: float) -> Bottleneck:
    """The bottleneck of a run.

    busy: shares by stage. queue: sequences that wait for a scorer. balance: samples that the
    learner may still draw, as a share of the replay ratio's slack: at 1 the actors wait, at -1 the
    learner does; NaN where no side waits for the ratio.

    It is the busiest stage if this is busy for BUSY of the time. Else it is scoring if sequences
    wait in the queue, as scorers then wait for something themselves; else the replay ratio if one
    side waits for it, as the other side is slow for a reason that isn't work; else the busiest
    stage.
    """
    stage = max(STAGES, key=lambda s: busy[s])
    if not busy[stage] > 0:
        return Bottleneck("", "nothing yet")
    if busy[stage] < BUSY and queue > 0:
        stage = "scoring"
    elif busy[stage] < BUSY and abs(balance) >= OFF_BALANCE:
        waits = "actors wait" if balance > 0 else "the learner waits"
        return Bottleneck(REPLAY_RATIO, f"{REPLAY_RATIO}, {waits}")
    return Bottleneck(stage, f"{stage}, {busy[stage]:.0%} busy")
