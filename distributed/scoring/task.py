"""What a scorer is handed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import ray
from ray.actor import ActorHandle


class Report(Protocol):
    """What any scored task reports: rows, and seconds spent on them."""

    @property
    def rows(self) -> int: ...

    @property
    def seconds(self) -> float: ...


class Task(Protocol):
    """Something for a scorer to do.

    allowance: how many of its sequences may be scored, set when it is handed out; attempts: how
    often it was lost; size: sequences in it.
    """

    allowance: int
    attempts: int

    @property
    def size(self) -> int: ...

    def send(self, process: ActorHandle) -> ray.ObjectRef: ...

    def split(self, n: int) -> tuple[Any, Any]:
        """The first n sequences, and the rest."""


@dataclass
class EpisodeSlice:
    """Rows first to last - 1 of a generated batch; of its valid ones `allowance` may be scored."""

    batch: ray.ObjectRef
    first: int
    last: int
    allowance: int = 0
    attempts: int = 0

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
