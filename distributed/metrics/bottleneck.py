"""What holds a run up: the stage whose processes are busy nearly all the time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

# The driver's own work counts as a stage: with very many scorers it is what binds.
STAGES = ("generation", "scoring", "learning", "driver")
REPLAY_RATIO = "replay ratio"
# A stage that is busy for less than this share of the time doesn't hold anybody up by itself.
BUSY = 0.7
# How far the replay's balance may be off, as a share of the slack, before somebody has to wait.
OFF_BALANCE = 0.8
# What a stage did so many seconds ago counts for 1/e of what it does now.
WINDOW_S = 30.0


class BusyShares:
    """The share of the time that a process of each stage was busy lately.

    Smoothed, because work is reported when it is done: seconds worth of it in one tick, and then
    nothing for some.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._work = dict.fromkeys(STAGES, 0.0)

    def add(self, seconds: float, work: Mapping[str, float]) -> dict[str, float]:
        """`seconds` went by, in which one process of each stage worked for `work` seconds on
        average. Returns the shares, 0 to 1, by stage."""
        fading = math.exp(-seconds / WINDOW_S)
        self._seconds = fading * self._seconds + seconds
        for stage in STAGES:
            self._work[stage] = fading * self._work[stage] + work[stage]
        return {s: min(max(self._work[s] / self._seconds, 0.0), 1.0) for s in STAGES}


class Bottleneck(NamedTuple):
    """stage: one of STAGES, REPLAY_RATIO, or "" while nobody has done anything; text: the same for
    people, with how busy the stage is or who waits."""

    stage: str
    text: str


def bottleneck(busy: Mapping[str, float], queue: int, balance: float) -> Bottleneck:
    """What holds the run up.

    busy: shares by stage. queue: sequences that wait for a scorer. balance: samples that the
    learner may still draw, as a share of what the replay ratio lets it be off: at 1 the actors
    wait, at -1 the learner does; NaN where nobody waits for the ratio.

    The busiest stage, if it is busy enough. Where all have time left, somebody waits: the actors
    for scorers whose time goes into waiting themselves (a queue), or one side for the replay ratio,
    because the other is slow for a reason that isn't work. If none of that, the busiest again.
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
