"""Shards in Ray actors, which may die and restart at any time.

Ray restarts a dead shard on any node. The shard reloads itself from the record, whose directory all
nodes must see; scorers add the rows again that were not on record.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import ActorDiedError, ActorUnavailableError, GetTimeoutError

from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.replay.record.store import PartStore
from sequence_tutor.distributed.replay.shard import ReplayShard, ShardSettings
from sequence_tutor.distributed.replay.shard_calls import Arguments, ShardUnavailableError
from sequence_tutor.distributed.types import TrainingBatch
from sequence_tutor.policies.files.storage import Location, Where


class _ShardActor(ReplayShard):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        restarted = ray.get_runtime_context().was_current_actor_reconstructed
        super().__init__(*arguments, restarted=restarted, **options)

    def sample_in_two(self, *arguments: Any) -> tuple[None, TrainingBatch]:
        """`sample` as two results: the first, for the driver, tells whether there is a second."""
        return None, self.sample(*arguments)

    def __ray_shutdown__(self) -> None:
        self.flush()  # Ray calls this when the last handle is gone, not when it kills the actor


def create_shards(
    count: int,
    place: Where,
    settings: ShardSettings,
    *,
    num_cpus: float = 0.01,
    resources: Mapping[str, float] | None = None,
) -> list[ActorHandle]:
    """Start the shards of a record, which reload the rows that are there; makes the directory where
    it is missing.

    num_cpus, resources: what a shard asks Ray for.
    The shards end when the last handle is gone. Returns before they are up: `ReplayClient.stats`
    waits for them, and raises the error of a shard that can't start.
    """
    PartStore.make(place)
    if not isinstance(place, tuple):
        place = Location(place).uri  # the shards may have another working directory
    actor = ray.remote(_ShardActor)
    return [
        actor.options(
            num_cpus=num_cpus,
            resources=dict(resources or {}),
            max_concurrency=1,  # the shard's code isn't thread-safe
            max_restarts=-1,
            max_task_retries=0,  # `wait` repeats calls: Ray would repeat one that kills a shard
            scheduling_strategy="DEFAULT",  # else it would take a place in Tune's placement group
        ).remote(place, settings, shard, count)
        for shard in range(count)
    ]


def ray_replay(
    handles: Sequence[ActorHandle], deadline_s: float = 120.0, patience_s: float = 2.0
) -> ReplayClient:
    """The client of shards that `create_shards` returned; see `RayShardCalls`."""
    return ReplayClient(RayShardCalls(handles, deadline_s, patience_s))


class RayShardCalls:
    """Calls methods of shards. Can be sent to other Ray processes, and used by many threads.

    handles: shard i of R at index i. deadline_s: seconds that a call waits for an answer, restarts
    included, before it raises TimeoutError with the shard's number. patience_s: seconds that a
    caller waits which can go on without the answer.

    A shard that is restarting raises ShardUnavailableError; one that can't start (its directory
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
        """Answers of several shards, called in parallel; a shard that restarts is called again."""
        return self.wait(method, arguments, self.send(method, arguments))

    def send(self, method: str, arguments: Arguments) -> dict[int, ray.ObjectRef]:
        """Call several shards; returns references. A shard gets this process's calls in order."""
        return {shard: self.start(shard, method, *a) for shard, a in arguments.items()}

    def wait(
        self, method: str, arguments: Arguments, refs: Mapping[int, ray.ObjectRef]
    ) -> dict[int, Any]:
        """Answers to the calls of `send`; a shard that dies during its call is called again."""
        deadline = time.monotonic() + self.deadline_s
        answers: dict[int, Any] = {}
        for shard, ref in refs.items():
            while shard not in answers:
                left = max(0.0, deadline - time.monotonic())
                try:
                    answers[shard] = self.get(shard, method, ref, left)
                except ShardUnavailableError:
                    if left == 0.0:
                        raise
                    time.sleep(min(0.2, left))
                    ref = self.start(shard, method, *arguments[shard])
        return answers

    def gather(
        self, method: str, refs: Mapping[int, ray.ObjectRef], patience_s: float
    ) -> dict[int, Any]:
        """The answers that come within `patience_s`, of shards that aren't restarting."""
        deadline = time.monotonic() + patience_s
        answers: dict[int, Any] = {}
        for shard, ref in refs.items():
            try:
                answers[shard] = self.get(shard, method, ref, max(0.0, deadline - time.monotonic()))
            except (ShardUnavailableError, TimeoutError):
                pass
        return answers

    def as_they_come(
        self, method: str, start: Callable[[int], ray.ObjectRef], patience_s: float
    ) -> Iterator[tuple[int, Any]]:
        """Answers of all shards that come within `patience_s`, in the order of their arrival.
        `start` calls a shard; a shard that is restarting is called again."""
        deadline = time.monotonic() + patience_s
        shard_of = {start(shard): shard for shard in range(len(self))}
        while shard_of and (left := deadline - time.monotonic()) > 0:
            ready, _ = ray.wait(list(shard_of), num_returns=1, timeout=left)
            for ref in ready:
                shard = shard_of.pop(ref)
                try:
                    yield shard, self.get(shard, method, ref, left)
                except ShardUnavailableError:
                    time.sleep(min(0.1, left))
                    shard_of[start(shard)] = shard

    def start(self, shard: int, method: str, *arguments: Any) -> ray.ObjectRef:
        call: Callable[..., ray.ObjectRef] = getattr(self.handles[shard], method).remote
        return call(*arguments)

    def start_sample(self, shard: int, *arguments: Any) -> tuple[ray.ObjectRef, ray.ObjectRef]:
        """A reference that resolves, or raises, once the shard has drawn a batch; and one to it."""
        method = self.handles[shard].sample_in_two.options(num_returns=2)
        drawn, batch = method.remote(*arguments)
        return drawn, batch

    def get(self, shard: int, method: str, ref: ray.ObjectRef, seconds: float) -> Any:
        try:
            return ray.get(ref, timeout=seconds)
        except GetTimeoutError as error:
            raise TimeoutError(
                f"replay shard {shard} of {len(self)} hasn't answered {method}() within "
                f"{seconds:.3g} s"
            ) from error
        except ActorUnavailableError as error:
            raise ShardUnavailableError(f"replay shard {shard} is restarting") from error
        except ActorDiedError as error:
            raise RuntimeError(f"replay shard {shard} can't be brought back: {error}") from error
