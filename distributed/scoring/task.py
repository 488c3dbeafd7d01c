"""The tasks that a pool hands to scorers, and their reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import ray
from ray.actor import ActorHandle


class Report(Protocol):
    """What every task reports."""

    @property
    def rows(self) -> int:
        """Rows that have an outcome."""

    @property
    def seconds(self) -> float:
        """Seconds spent on them."""


class Task(Protocol):
    """Sequences for a scorer."""

    allowance: int
    """How many of the valid sequences may be scored, set when the task is handed out."""
    attempts: int
    """How often the task was lost while it couldn't be cut."""

    @property
    def size(self) -> int:
        """How many sequences."""

    def send(self, process: ActorHandle) -> ray.ObjectRef:
        """Call the scorer; the call returns a `Report`."""

    def split(self, n: int) -> tuple[Any, Any]:
        """Two tasks: the first n sequences, and the rest."""


@dataclass
class EpisodeSlice:
    """Rows of a generated batch."""

    batch: ray.ObjectRef
    """Reference to the `Generated`."""
    first: int
    """First row."""
    last: int
    """One more than the last row."""
    allowance: int = 0
    """How many of the valid rows may be scored, set when the task is handed out."""
    attempts: int = 0
    """How often the task was lost while it couldn't be cut."""

    @property
    def size(self) -> int:
        return self.last - self.first

    def send(self, process: ActorHandle) -> ray.ObjectRef:
        call = process.score_and_store
        return call.remote(self.batch, (self.first, self.last), self.allowance)

    def split(self, n: int) -> tuple[EpisodeSlice, EpisodeSlice]:
        middle = self.first + n
        return EpisodeSlice(self.batch, self.first, middle), EpisodeSlice(
            self.batch, middle, self.last
        )
