"""Warns where the policy learns to make invalid sequences, and says what reward these get."""

from __future__ import annotations

import math
from collections import deque

from sequence_tutor.distributed.metrics.watch import Watch
from sequence_tutor.distributed.replay.messages import ShardStats, floor_of
from sequence_tutor.rewards.bounds import InvalidWorth

# Number of sequences over which the share of valid ones is measured.
WINDOW = 256
ADVICE = (
    "an invalid sequence should be worth less than a valid one (reward.invalid), and a higher "
    "learner.temperature keeps the policy closer to the prior, which makes more valid ones"
)


class InvalidWatch(Watch):
    """Texts and warnings on the invalid sequences of a run.

    worth: the reward of an invalid sequence by the config, before the start.
    """

    def __init__(self, worth: InvalidWorth) -> None:
        super().__init__()
        self._worth = worth
        if worth.warning:
            self._warnings.append(worth.warning)
        self._compared = bool(worth.warning)  # whether there was a warning about this reward
        self._worst = math.inf
        self._first = 0  # sequences that `_expected` was measured over
        self._expected = 0.0  # share of valid ones at first, after a warning the share then
        self._latest: deque[tuple[int, int]] = deque()  # (valid, all) of batches
        self._valid = self._rows = 0  # sums over `_latest`

    @property
    def said(self) -> str:
        """A sentence for the start of a run."""
        return f"an invalid sequence is worth {self._worth.said}"

    @property
    def value(self) -> float:
        """The present reward of an invalid sequence; NaN where it isn't the same for all."""
        return floor_of(self._worst) if self._worth.late else self._worth.value

    def add(self, valid: int, rows: int) -> None:
        """Count a batch of `rows` sequences, of which `valid` are valid, whether their reward fails
        or not. Warns when the share of valid ones among the latest WINDOW has fallen to half of
        that among the first WINDOW, and each time it has halved again."""
        if self._first < WINDOW:
            share = (self._expected * self._first + valid) / max(1, self._first + rows)
            self._first, self._expected = self._first + rows, share
            return
        self._latest.append((valid, rows))
        self._valid, self._rows = self._valid + valid, self._rows + rows
        while self._rows - self._latest[0][1] >= WINDOW:
            old_valid, old_rows = self._latest.popleft()
            self._valid, self._rows = self._valid - old_valid, self._rows - old_rows
        share = self._valid / max(1, self._rows)
        if self._rows >= WINDOW and self._expected > 0 and 2 * share <= self._expected:
            self._warn_of_share(share)

    def look(self, stats: ShardStats) -> None:
        """Note the numbers of all shards together. Warns once when an invalid sequence has got a
        higher reward than a valid one."""
        self._worst = stats.worst
        if self._compared or not stats.best_invalid > stats.worst:
            return
        self._compared = True
        self._warnings.append(
            f"an invalid sequence was worth {stats.best_invalid:.4g}, more than the worst valid "
            f"one, {stats.worst:.4g}, so the policy may learn to make invalid sequences; set "
            f"reward.invalid to {stats.worst:.4g} or less"
        )

    def _warn_of_share(self, share: float) -> None:
        self._warnings.append(
            f"only {share:.0%} of the latest sequences are valid, half or less of the "
            f"{self._expected:.0%} before: {ADVICE}"
        )
        self._expected = share
