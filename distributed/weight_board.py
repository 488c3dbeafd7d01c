"""The weight board: the learner publishes weights there, actors fetch them from there.

One Ray actor keeps the prior and the newest weights as object references, so a version is put once
and each node reads it from its own object store. An actor asks with the version that it has, and
gets no weights where that is the newest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ray

from sequence_tutor.distributed.packing import unpacked
from sequence_tutor.distributed.types import Weights


@dataclass(frozen=True)
class PriorParts:
    """A prior as it travels between processes."""

    metadata: str
    """`prior.json` as text."""
    weights: Weights
    """float32 arrays of the network by name."""


class WeightBoard:
    """Newest weights and their version (updates at publication).

    prior: a reference to `PriorParts`, `packed`. The process that put the parts keeps a reference,
    so they are there when Ray restarts a lost board.
    """

    def __init__(self, prior: bytes) -> None:
        self._prior: ray.ObjectRef = unpacked(prior)
        self._version = -1
        self._weights: ray.ObjectRef | None = None

    def prior(self) -> list[ray.ObjectRef]:
        """The prior, as a reference in a list: Ray would fetch a bare reference before the call."""
        return [self._prior]

    def publish(self, version: int, weights: list[ray.ObjectRef]) -> None:
        """Keep weights that are newer than those held; ignore others."""
        if version > self._version:
            self._version, self._weights = version, weights[0]

    def newest(self, have: int) -> tuple[int, list[ray.ObjectRef]]:
        """(version, [reference]); the list is empty where `have` is the newest."""
        if self._weights is None or have >= self._version:
            return self._version, []
        return self._version, [self._weights]


def board_name(run_id: str) -> str:
    """The Ray name of a run's board, different for each run on a cluster."""
    return f"sequence-tutor-{run_id}-board"


def fetch_prior(run_id: str) -> PriorParts:
    """The run's prior, for any of its Ray processes."""
    board = ray.get_actor(board_name(run_id))
    return ray.get(ray.get(board.prior.remote())[0])  # type: ignore[no-any-return]


def prior_parts(prior: Any) -> PriorParts:
    """A `policies.prior.Prior` in the form that travels."""
    weights = {k: v.detach().cpu().numpy() for k, v in prior.network.state_dict().items()}
    return PriorParts(prior.metadata(), weights)
