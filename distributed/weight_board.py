"""The weight board: where the learner publishes and actors look.

One Ray actor keeps the prior and the newest weights as object references, so each version is put
once and read by every node from its own object store. An actor asks with the version that it has
and gets nothing back when that's still the newest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ray

from sequence_tutor.distributed.types import Weights


@dataclass(frozen=True)
class PriorParts:
    """A prior as it travels: `prior.json` as text, and weights as float32 arrays by name."""

    metadata: str
    weights: Weights


class WeightBoard:
    """Newest weights and their version (updates at publication).

    prior: a reference to `PriorParts`, packed: the parts themselves would be gone when Ray restarts
    a board that was lost. The process that put them there keeps the reference.
    """

    def __init__(self, prior: bytes) -> None:
        self._prior: ray.ObjectRef = unpacked(prior)
        self._version = -1
        self._weights: ray.ObjectRef | None = None

    def prior(self) -> list[ray.ObjectRef]:
        """The prior, as a reference in a list (so that Ray doesn't fetch it on the way)."""
        return [self._prior]

    def publish(self, version: int, weights: list[ray.ObjectRef]) -> None:
        """Offer weights; an older version than the newest is ignored."""
        if version > self._version:
            self._version, self._weights = version, weights[0]

    def newest(self, have: int) -> tuple[int, list[ray.ObjectRef]]:
        """(version, [reference]), the list empty where `have` is the newest already."""
        if self._weights is None or have >= self._version:
            return self._version, []
        return self._version, [self._weights]


def packed(references: Any) -> bytes:
    """Object references or actor handles as an argument of an actor that Ray may restart. Ray takes
    them for arguments that can get lost, and prints an error about each such actor; what they refer
    to is kept by the driver."""
    return ray.cloudpickle.dumps(references)  # type: ignore[no-any-return]


def unpacked(references: bytes) -> Any:
    """The inverse of `packed`."""
    return ray.cloudpickle.loads(references)


def board_name(run_id: str) -> str:
    """The Ray name of a run's board; runs that share a cluster don't meet."""
    return f"sequence-tutor-{run_id}-board"


def fetch_prior(run_id: str) -> PriorParts:
    """The run's prior, for any Ray worker of it."""
    board = ray.get_actor(board_name(run_id))
    return ray.get(ray.get(board.prior.remote())[0])  # type: ignore[no-any-return]


def prior_parts(prior: Any) -> PriorParts:
    """Take a `policies.prior.Prior` apart for travelling."""
    weights = {k: v.detach().cpu().numpy() for k, v in prior.network.state_dict().items()}
    return PriorParts(prior.metadata(), weights)
