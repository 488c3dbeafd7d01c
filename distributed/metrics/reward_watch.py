"""Warns where the rewards can't teach anything: all the same, or on another scale than c.

The policy learns pi* ~ p exp(r / c). Against the prior's mean reward, a reward that is better by
`gain` makes a sequence exp(gain / c) times as likely.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.metrics.gauges import TOP
from sequence_tutor.distributed.metrics.watch import Watch
from sequence_tutor.distributed.replay.messages import ShardStats
from sequence_tutor.distributed.reward_spread import RewardSpread

# Number of new valid scores over which rewards are compared with each other and with c.
WINDOW = 256
# Rewards that differ by less than this share of their size are the same: rounding.
ROUNDING = 1e-9
# Standard deviations of the first rewards in units of c, above which the policy collapses: for a
# normal reward the KL would be 50^2 / 2 nats, and a sequence holds some tens. At 0.02 c and QED it
# is 7.
MOST_SPREADS = 50.0
AUTO = 'or learner.temperature = "auto", which finds c by itself'


def judged_temperature(run: RunConfig) -> float | None:
    """The c that is compared with the rewards; None where it finds its own, where nothing is
    learned, or where the policy learns from ranks."""
    c = run.learner.temperature
    ranked = run.reward.aggregate == "pareto"
    return None if c == "auto" or ranked or not run.replay.ratio else c


class RewardWatch(Watch):
    """Follows the rewards of new valid scores.

    c: the temperature where it is a fixed number and the policy begins as the prior; None where the
    scale isn't judged.
    """

    def __init__(self, c: float | None) -> None:
        super().__init__()
        self._c = c
        self._first = RewardSpread()  # until c is judged
        self._latest: deque[RewardSpread] = deque()  # of batches
        self._rows = 0  # sum over `_latest`
        self._warned = False  # whether the rewards are the same and a warning said so

    def leave_scale(self) -> None:
        """Don't judge the scale: the policy isn't the prior any more, whose rewards tell it."""
        self._c = None

    def add(self, new: RewardSpread) -> None:
        """Count new rewards. Warns when the latest WINDOW are all the same, and again only after
        they differed."""
        if not new.rows:
            return
        if self._c is not None:
            self._first = self._first.plus(new)
        self._latest.append(new)
        self._rows += new.rows
        while self._rows - self._latest[0].rows >= WINDOW:
            self._rows -= self._latest.popleft().rows
        low, high = min(s.low for s in self._latest), max(s.high for s in self._latest)
        same = high - low <= ROUNDING * abs(high)
        if same and self._rows >= WINDOW and not self._warned:
            self._warned = True
            self._warnings.append(
                f"the reward was {high:.4g} for each of the latest {self._rows} scores, so there "
                "is nothing to learn from: see the values of its components in RUN/scores, or "
                "score some sequences with `score`; a filter, or a transform out of whose range "
                "all values are, makes every reward 0"
            )
        self._warned = self._warned and same

    def look(self, stats: ShardStats) -> None:
        """Note the numbers of all shards together. Warns once, after WINDOW scores that aren't all
        the same, where c is far from the scale of the rewards."""
        c, first = self._c, self._first
        if c is None or first.rows < WINDOW or first.high <= first.low or not len(stats.best):
            return
        self._c = None
        mean = first.total / first.rows
        deviation = math.sqrt(max(0.0, first.squares / first.rows - mean * mean))
        gain = float(np.mean(stats.best[:TOP])) - mean
        if c >= gain:
            self._warnings.append(
                f"learner.temperature = {c:g} is large beside the rewards: the best ten are only "
                f"{gain:.3g} above the mean of {mean:.3g}, so the policy will hardly leave the "
                f"prior; try {_round(gain / 10)}, {AUTO}"
            )
        elif deviation > MOST_SPREADS * c:
            self._warnings.append(
                f"learner.temperature = {c:g} is small beside the rewards, which spread by "
                f"{deviation:.3g}: the policy will run far from the prior and repeat itself; try "
                f"{_round(deviation / 5)}, {AUTO}"
            )


def _round(value: float) -> str:
    """One digit, without an exponent where that is short."""
    return f"{float(f'{value:.1g}'):g}"
