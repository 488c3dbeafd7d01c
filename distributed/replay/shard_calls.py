"""Calls of shards in their own Ray actors, which may die and come back at any time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import ActorDiedError, ActorUnavailableError, GetTimeoutError

# By shard: what its method is called with.
Arguments = Mapping[int, tuple[Any, ...]]


class ShardCalls:
    """Calls methods of shards. Can be sent to other Ray processes, and used by many threads.

    handles: shard i of R at index i. deadline_s: how long a call waits for an answer, restarts
    included, before it raises TimeoutError with the shard's number. patience_s: how long those wait
    who can go on without the answer.

    A shard that is restarting raises ActorUnavailableError; one that can't start (its directory
    missing, a part broken) RuntimeError, with the reason.
    """

    def __init__(self, handles: Sequence[ActorHandle], deadline_s: float, patience_s: float):
        if not handles:
            raise ValueError("a replay needs at least one shard")
        self.handles = list(handles)
        self.deadline_s, self.patience_s = deadline_s, patience_s

    def __len__(self) -> int:
        return len(self.handles)

    def call(self, method: str, arguments: Arguments) -> dict[int, Any]:
        """Answers of several shards, asked at once, and again for as long as one is restarting."""
        return self.wait(method, arguments, self.send(method, arguments))

    def send(self, method: str, arguments: Arguments) -> dict[int, ray.ObjectRef]:
        """Ask several shards. Each hears what this process says in the order in which it's said."""
        return {shard: self.start(shard, method, *a) for shard, a in arguments.items()}

    def wait(
        self, method: str, arguments: Arguments, refs: Mapping[int, ray.ObjectRef]
    ) -> dict[int, Any]:
        """What `send` asked for; where a shard died over it, it's asked again."""
        deadline = time.monotonic() + self.deadline_s
        answers: dict[int, Any] = {}
        for shard, ref in refs.items():
            while shard not in answers:
                left = max(0.0, deadline - time.monotonic())
                try:
                    answers[shard] = self.get(shard, method, ref, left)
                except ActorUnavailableError:
                    if left == 0.0:
                        raise
                    time.sleep(min(0.2, left))
                    ref = self.start(shard, method, *arguments[shard])
        return answers

    def gather(
        self, method: str, refs: Mapping[int, ray.ObjectRef], patience_s: float
    ) -> dict[int, Any]:
        """The answers that come in so many seconds, of shards that aren't restarting."""
        until = time.monotonic() + patience_s
        answers: dict[int, Any] = {}
        for shard, ref in refs.items():
            try:
                answers[shard] = self.get(shard, method, ref, max(0.0, until - time.monotonic()))
            except (ActorUnavailableError, TimeoutError):
                pass
        return answers

    def as_they_come(
        self, method: str, start: Callable[[int], ray.ObjectRef], patience_s: float
    ) -> Iterator[tuple[int, Any]]:
        """Answers of all shards that come in so many seconds, the first first. `start` asks one;
        one that is restarting is asked again."""
        until = time.monotonic() + patience_s
        shard_of = {start(shard): shard for shard in range(len(self))}
        while shard_of and (left := until - time.monotonic()) > 0:
            ready, _ = ray.wait(list(shard_of), num_returns=1, timeout=left)
            for ref in ready:
                shard = shard_of.pop(ref)
                try:
                    yield shard, self.get(shard, method, ref, left)
                except ActorUnavailableError:
                    time.sleep(min(0.1, left))
                    shard_of[start(shard)] = shard

    def start(self, shard: int, method: str, *arguments: Any) -> ray.ObjectRef:
        call: Callable[..., ray.ObjectRef] = getattr(self.handles[shard], method).remote
        return call(*arguments)

    def get(self, shard: int, method: str, ref: ray.ObjectRef, seconds: float) -> Any:
        try:
            return ray.get(ref, timeout=seconds)
        except GetTimeoutError as error:
            raise TimeoutError(
                f"replay shard {shard} of {len(self)} hasn't answered {method}() within "
                f"{seconds:.3g} s"
            ) from error
        except ActorDiedError as error:
            raise RuntimeError(f"replay shard {shard} can't be brought back: {error}") from error
