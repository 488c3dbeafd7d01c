"""How a client calls the shards: in this process, or in Ray actors (`ray_shards`).

Shards are numbered from 0. A reference stands for an answer that may still be on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from sequence_tutor.distributed.replay.shard import ReplayShard

# By shard: the arguments of the call.
Arguments = Mapping[int, tuple[Any, ...]]


class ShardUnavailableError(RuntimeError):
    """A shard is restarting; the same call may succeed in a moment."""


class ShardCalls(Protocol):
    """Calls methods of R shards.

    deadline_s: seconds that a call waits for an answer, restarts included, before it raises
    TimeoutError. patience_s: seconds that a caller waits which can go on without the answer.
    """

    deadline_s: float
    patience_s: float

    def __len__(self) -> int: ...

    def call(self, method: str, arguments: Arguments) -> dict[int, Any]:
        """Answers of several shards, called in parallel; a shard that restarts is called again."""

    def send(self, method: str, arguments: Arguments) -> dict[int, Any]:
        """Call several shards; returns references. A shard gets this process's calls in order."""

    def wait(self, method: str, arguments: Arguments, refs: Mapping[int, Any]) -> dict[int, Any]:
        """Answers to the calls of `send`; a shard that dies during its call is called again."""

    def gather(self, method: str, refs: Mapping[int, Any], patience_s: float) -> dict[int, Any]:
        """The answers that come within `patience_s`, of shards that aren't restarting."""

    def as_they_come(
        self, method: str, start: Callable[[int], Any], patience_s: float
    ) -> Iterator[tuple[int, Any]]:
        """Answers of all shards that come within `patience_s`, in the order of their arrival.
        `start` calls a shard."""

    def start(self, shard: int, method: str, *arguments: Any) -> Any:
        """Call one shard; returns a reference."""

    def start_sample(self, shard: int, *arguments: Any) -> tuple[Any, Any]:
        """A reference that resolves, or raises, once a shard has drawn a batch; and one to it."""

    def get(self, shard: int, method: str, ref: Any, seconds: float) -> Any:
        """The answer. Raises TimeoutError, ShardUnavailableError, or what the shard raised."""


class LocalShardCalls:
    """Calls shards that are objects of this process. A reference is the answer itself, so an error
    of a shard is raised by the call."""

    deadline_s = patience_s = 0.0

    def __init__(self, shards: Sequence[ReplayShard]) -> None:
        self._shards = list(shards)

    def __len__(self) -> int:
        return len(self._shards)

    def call(self, method: str, arguments: Arguments) -> dict[int, Any]:
        return {shard: self.start(shard, method, *a) for shard, a in arguments.items()}

    send = call

    def wait(self, method: str, arguments: Arguments, refs: Mapping[int, Any]) -> dict[int, Any]:
        return dict(refs)

    def gather(self, method: str, refs: Mapping[int, Any], patience_s: float) -> dict[int, Any]:
        return dict(refs)

    def as_they_come(
        self, method: str, start: Callable[[int], Any], patience_s: float
    ) -> Iterator[tuple[int, Any]]:
        return ((shard, start(shard)) for shard in range(len(self)))

    def start(self, shard: int, method: str, *arguments: Any) -> Any:
        return getattr(self._shards[shard], method)(*arguments)

    def start_sample(self, shard: int, *arguments: Any) -> tuple[Any, Any]:
        return None, self._shards[shard].sample(*arguments)

    def get(self, shard: int, method: str, ref: Any, seconds: float) -> Any:
        return ref
