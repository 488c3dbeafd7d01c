"""A reward in this process: breakpoints work in it, but it can crash or hang the process.

It scores in the same units as `isolation.reward.IsolatedReward`, so both give the same scores.
`timeout_s` and `memory_mb` have no effect; Ctrl-C interrupts a function that hangs.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from sequence_tutor.rewards.base import Identity, Scores, Status
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.isolation.unit_results import enter
from sequence_tutor.rewards.isolation.work import Job, Shape, Unit, UnitResult, pack
from sequence_tutor.rewards.place import Place

# Error text of the sequence that was interrupted, and of those after it.
INTERRUPTED = "interrupted"


class LocalReward:
    """A compiled [reward] section; implements `rewards.base.Reward`.

    path: directories to find the user's own modules and files in. interrupt: the exception that
    interrupted the last `score`, such as KeyboardInterrupt, or None. Raises ValueError with one
    sentence where the reward can't be built.
    """

    def __init__(self, config: RewardConfig, domain: str, path: Sequence[str] = ()) -> None:
        sys.path += [place for place in path if place not in sys.path]
        self._config = config
        self._objective = build_reward(config, domain, Place(tuple(path)))
        self._objective.prepare()
        self.interrupt: BaseException | None = None

    def score(
        self,
        sequences: Sequence[str],
        tokens: Sequence[Sequence[str]] | None = None,
        known: Mapping[str, np.ndarray] | None = None,
    ) -> Scores:
        """Score B sequences; known: see `Reward`. Where that is interrupted, the remaining
        sequences have failed with INTERRUPTED as their error, and `interrupt` has the exception to
        raise."""
        if tokens is not None and len(tokens) != len(sequences):
            raise ValueError(f"{len(sequences)} sequences came with {len(tokens)} token lists")
        self.interrupt = None
        size, shape = len(sequences), Shape.of(self._objective)
        config = self._config
        job = Job(sequences, tokens, shape, config.timeout_s, config.retries, known)
        each = [list(range(size))] if shape.judges_batches else [[row] for row in range(size)]
        left = deque([Unit(job, rows) for rows in each if rows])
        while left and self.interrupt is None:
            unit = left.popleft()
            try:
                left.extendleft(reversed(enter(unit, self._judge(unit))))
            except Exception as error:  # from the objective itself, such as MemoryError
                left.extendleft(reversed(_split_or_fail(unit, error)))
            except BaseException as error:
                self.interrupt = error
                left.appendleft(unit)
        scores = job.scores(self._config)
        for unit in left:
            for row in unit.rows:
                scores.errors[row] = INTERRUPTED
        return scores

    def _judge(self, unit: Unit) -> UnitResult:
        started = time.perf_counter()
        scores = self._objective.score(unit.sequences, unit.tokens, unit.known)
        return pack(0, time.perf_counter() - started, scores)

    def identify(self, sequences: Sequence[str]) -> list[Identity]:
        """The identity of each sequence, without calling the reward's components."""
        return [self._objective.identify(sequence) for sequence in sequences]

    def close(self) -> None:
        """Do nothing: a program that a component has started ends with this object."""

    def __enter__(self) -> LocalReward:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _split_or_fail(unit: Unit, error: Exception) -> list[Unit]:
    """Settle a unit that raised `error`: split it to find the sequence, or condemn its only one.

    Returns the units to score next.
    """
    if len(unit.rows) > 1:
        return unit.halves()
    [row] = unit.rows
    unit.job.attempts[row] += 1
    unit.job.condemn(row, Status.CRASHED, f"{type(error).__name__}: {error}")
    return [Unit(unit.job, [row])] if unit.job.attempts[row] <= unit.job.retries else []
