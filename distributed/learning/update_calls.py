"""The driver's side of learning: starts updates without waiting and collects their reports.

All learners of the group get each call, in order, so that they stay equal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError
from ray.rllib.core.learner.training_data import TrainingData

from sequence_tutor.distributed.learning.learner import KLControlLearner, publish_from_first
from sequence_tutor.distributed.stop_signal import RunError
from sequence_tutor.distributed.types import LearnerReport, Weights

T = TypeVar("T")

# Most calls under way at a time: the learner works on one while the next one waits.
MOST_CALLS = 2


class Manager(Protocol):
    """The part of RLlib's FaultTolerantActorManager that is used here."""

    def actors(self) -> dict[int, ActorHandle]: ...


class Group(Protocol):
    """The part of RLlib's LearnerGroup that is used here."""

    _worker_manager: Manager

    def foreach_learner(self, func: Callable[[Any], Any]) -> Any: ...


@dataclass(frozen=True)
class _Call:
    updates: int
    results: list[ray.ObjectRef]


class LearnerCalls:
    """Calls `update` on all learners of a group, in order, and collects the reports.

    RLlib's own `LearnerGroup.update` waits for the result or may drop calls, and goes on without a
    learner that failed. Here a failed learner ends the run.
    """

    def __init__(self, group: Group) -> None:
        self._group = group  # it may still be starting
        self._calls: deque[_Call] = deque()

    @property
    def updates(self) -> int:
        """Number of updates under way."""
        return sum(call.updates for call in self._calls)

    @property
    def full(self) -> bool:
        """Whether MOST_CALLS calls are under way."""
        return len(self._calls) >= MOST_CALLS

    def start(self, references: Sequence[ray.ObjectRef], temperature: float) -> None:
        """Start one update per batch at this temperature, with an equal number of batches for each
        learner. The weights are published after the last update."""
        learners = self._group._worker_manager.actors().values()
        each = len(references) // len(learners)
        results = [
            learner.update.remote(
                training_data=TrainingData(batch_refs=list(references[i * each : (i + 1) * each])),
                temperature=temperature,
            )
            for i, learner in enumerate(learners)
        ]
        self._calls.append(_Call(each, results))

    def finished(self, timeout_s: float | None = 0.0) -> list[LearnerReport]:
        """One report for each finished call, of all learners together. Waits at most `timeout_s`
        for the first call; with None it waits for all calls. Raises RunError if a learner died, and
        any error that a learner raised."""
        reports: list[LearnerReport] = []
        while self._calls:
            results = self._calls[0].results
            done, _ = ray.wait(results, num_returns=len(results), timeout=timeout_s)
            if len(done) < len(results):
                break
            self._calls.popleft()
            try:
                each: list[LearnerReport] = ray.get(results)
            except RayActorError as error:
                raise RunError("a learner died") from error
            rows, lost = sum(r.rows for r in each), sum(r.lost for r in each)
            reports.append(replace(each[0], rows=rows, lost=lost))
            timeout_s = None if timeout_s is None else 0.0
        return reports

    def export_tensors(self) -> Weights:
        """The state of the first learner after the updates under way; see `Updater`."""
        return self.each(lambda learner: learner.updater.export_tensors())[0]

    def import_tensors(self, tensors: Weights, updates: int) -> None:
        """Give all learners this state, and publish its weights."""
        reference = ray.put(tensors)
        self.each(lambda learner: learner.updater.import_tensors(ray.get(reference), updates))
        self.publish()

    def publish(self) -> None:
        """Publish the weights on the board."""
        self.each(publish_from_first)

    def each(self, call: Callable[[KLControlLearner], T]) -> list[T]:
        """Call a function on every learner after the updates under way; returns the results.
        Raises the first error of a learner, unlike RLlib's method."""
        results = self._group.foreach_learner(call).result_or_errors
        for result in results:
            if not result.ok:
                raise result.get()
        return [result.get() for result in results]
