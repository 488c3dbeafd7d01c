"""Scoring in a fixed order, for runs that are repeatable bit for bit.

The batches of a round are prepared and scored side by side, but claim their keys and are stored one
after the other: of equal sequences always the same one counts, however fast who is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import ObjectLostError, OwnerDiedError, RayActorError

from sequence_tutor.distributed.scoring.process import UnknownTicketError
from sequence_tutor.distributed.types import ScoreReport

STEPS = ("prepare", "claim", "score", "store")
SIDE_BY_SIDE = ("prepare", "score")
LOST = (RayActorError, OwnerDiedError, ObjectLostError, UnknownTicketError)
# Seconds before a lost scorer is asked again, and until it's given up.
RETRY_S, PATIENCE_S = 0.5, 300.0


def score_in_order(
    processes: list[ActorHandle],
    batches: list[ray.ObjectRef],
    allowances: list[int],
    again: Callable[[int], ray.ObjectRef],
) -> list[ScoreReport]:
    """Score and store batches; of the valid sequences of batch i at most allowances[i] are scored.

    What goes down with its scorer is done again when that is back; a batch that is lost itself is
    made again by `again` (i -> reference). Raises RuntimeError where a scorer can't start.
    """
    work = _Round(processes, list(batches), allowances, again)
    numbers = range(len(batches))
    results: list[ScoreReport] = []
    for step in STEPS:
        if step in SIDE_BY_SIDE:
            calls = [work.start(i, step) for i in numbers]
            results = [work.finish(i, step, call) for i, call in zip(numbers, calls, strict=True)]
        else:
            results = [work.finish(i, step, work.start(i, step)) for i in numbers]
    return results


class _Round:
    def __init__(
        self,
        processes: list[ActorHandle],
        batches: list[ray.ObjectRef],
        allowances: list[int],
        again: Callable[[int], ray.ObjectRef],
    ) -> None:
        self.processes, self.batches = processes, batches
        self.allowances, self.again = allowances, again

    def start(self, i: int, step: str) -> ray.ObjectRef:
        call = getattr(self.processes[i % len(self.processes)], step)
        if step == "prepare":
            return call.remote(i, self.batches[i], self.allowances[i])
        return call.remote(i)

    def finish(self, i: int, step: str, call: ray.ObjectRef) -> Any:
        """The step's result; where it was lost, this batch's steps up to it are done again."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return ray.get(call)
            except LOST as error:
                if getattr(error, "actor_init_failed", False):
                    raise RuntimeError(f"a scorer can't start: {error}") from error
                if time.monotonic() > until:
                    raise
                if isinstance(error, (OwnerDiedError, ObjectLostError)):
                    self.batches[i] = self.again(i)
                else:
                    time.sleep(RETRY_S)
                call = self._from_the_start(i, step)

    def _from_the_start(self, i: int, step: str) -> ray.ObjectRef:
        """All steps before this one; a reference to the first that fails, or to this one."""
        for earlier in STEPS[: STEPS.index(step)]:
            call = self.start(i, earlier)
            try:
                ray.get(call)
            except LOST:
                return call
        return self.start(i, step)
