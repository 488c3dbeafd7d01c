"""Warns where the reward fails for most of the sequences that are scored."""

from __future__ import annotations

from collections import deque

import numpy as np

from sequence_tutor.distributed.metrics.watch import Watch
from sequence_tutor.distributed.types import ScoreReport
from sequence_tutor.rewards.base import Status

# Number of new scores over which the share of failures is measured. Small, as slow rewards are the
# ones that fail: with a minute each, a window of 256 would be four hours.
WINDOW = 64
# Above the first share most scores fail; below the second they don't any more.
MANY, FEW = 0.5, 0.4
# How many characters of an error are shown.
SHOWN = 200
# What the statuses of failures are called, and what can be done.
KINDS = {
    Status.TIMEOUT: ("took longer than reward.timeout_s", "raise reward.timeout_s"),
    Status.CRASHED: (
        "ended the process that scored",
        "see whether it needs more than reward.memory_mb",
    ),
    Status.FAILED: ("raised an error or gave no number", "try it on one sequence with `score`"),
}


class FailureWatch(Watch):
    """Follows the share of new scores that fail. Invalid sequences don't count: they aren't given
    to the reward."""

    def __init__(self) -> None:
        super().__init__()
        self._latest: deque[np.ndarray] = deque()  # int64 [len(Status)] of batches
        self._counts = np.zeros(len(Status), np.int64)  # sum over `_latest`
        self._warned, self._error = False, ""

    def add(self, report: ScoreReport) -> None:
        """Count the new scores of a report. Warns when more than half of the latest WINDOW failed,
        and again only after it was fewer than FEW."""
        self._error = report.error or self._error
        counts = np.array(report.statuses, np.int64)
        counts[Status.INVALID] = 0
        if not counts.any():
            return
        self._latest.append(counts)
        self._counts += counts
        while self._counts.sum() - self._latest[0].sum() >= WINDOW:
            self._counts -= self._latest.popleft()
        rows, failures = int(self._counts.sum()), self._counts[Status.TIMEOUT :]
        share = failures.sum() / rows
        if rows >= WINDOW and share > MANY and not self._warned:
            self._warned = True
            self._warnings.append(
                self._text(share, Status(int(Status.TIMEOUT + failures.argmax())))
            )
        self._warned = self._warned and share >= FEW

    def _text(self, share: float, kind: Status) -> str:
        what, advice = KINDS[kind]
        error = self._error if len(self._error) <= SHOWN else f"{self._error[:SHOWN]}..."
        last = f"; the last error: {error}" if error else ""
        return (
            f"the reward failed for {share:.0%} of the latest sequences; most often it {what}: "
            f"{advice}{last}"
        )
