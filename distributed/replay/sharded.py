"""The client of the replay: many shards, each in its own Ray actor, as if they were one.

Scorers hold a copy of it and call `known` and `add`; the driver calls `sample` and `stats`. What
crosses is scored data, never references to scores still being made, which would block a shard for
everybody behind them. A shard that dies is restarted by Ray on any node and reloads itself from the
record, whose directory all nodes must see; what was not yet flushed is gone, so counts come from
`stats` and never from adding up `AddResult`s.

Every method of a shard may be repeated, so `known`, `add`, `top` and `flush` just wait and ask
again while a shard restarts. `sample` and `stats`, on the way of the control loop, go on without
it. A shard that can't start (its directory missing, a part broken) fails every call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.actor import ActorHandle
from ray.exceptions import ActorDiedError, ActorUnavailableError, GetTimeoutError

from sequence_tutor.distributed.replay.answers import (
    AddResult,
    EmptyReplayError,
    Known,
    ShardStats,
)
from sequence_tutor.distributed.replay.record import shard_of
from sequence_tutor.distributed.replay.sampler import RowSampler, best_rows
from sequence_tutor.distributed.replay.shard import ReplayShard, Rewrite
from sequence_tutor.distributed.types import SampleMeta, Scored, concatenate


class _ShardActor(ReplayShard):
    def __ray_shutdown__(self) -> None:
        self.flush()  # Ray calls it when the last handle goes, not when it kills


def create_shards(
    count: int,
    directory: str | Path,
    *,
    sampler: RowSampler,
    rewrite: Rewrite | None = None,
    rewrite_share: float = 0.0,
    flush_rows: int = 4096,
    flush_seconds: float = 10.0,
    name: str | None = None,
    namespace: str | None = None,
    num_cpus: float = 0.01,
) -> list[ActorHandle]:
    """Start the shards of a record, reloading what is there; makes the directory if need be.

    With `name`, shard i can be found as "NAME-i" in the namespace. They live as long as a handle
    or, if named, their maker. See `ReplayShard` for the rest. Returns at once: wait with
    `ShardedReplay.stats`, which also raises what kept a shard from starting.
    """
    Path(directory).mkdir(parents=True, exist_ok=True)
    actor = ray.remote(_ShardActor)
    return [
        actor.options(
            name=None if name is None else f"{name}-{shard}",
            namespace=namespace,
            num_cpus=num_cpus,
            max_concurrency=1,  # the shard's code isn't thread-safe, and needn't be
            max_restarts=-1,
            max_task_retries=0,  # we repeat calls ourselves: Ray would repeat what killed a shard
            scheduling_strategy="DEFAULT",  # or Tune's placement group would capture it
        ).remote(
            str(Path(directory).absolute()),
            shard,
            count,
            sampler=sampler,
            rewrite=rewrite,
            rewrite_share=rewrite_share,
            flush_rows=flush_rows,
            flush_seconds=flush_seconds,
        )
        for shard in range(count)
    ]


def split(scored: Scored, shards: int) -> list[Scored]:
    """The rows of each shard, in their order; batches may be empty."""
    owners = np.array([shard_of(key, shards) for key in scored.keys], dtype=np.int64)
    return [scored.select(np.flatnonzero(owners == shard)) for shard in range(shards)]


class ShardedReplay:
    """All shards behind one face. Can be sent to other Ray processes.

    handles: shard i of R at index i, as `create_shards` returns them. deadline_s: how long a call
    waits for an answer, restarts included, before it raises TimeoutError with the shard's number.
    patience_s: how long `sample` and `stats` do before they go on without a shard.
    """

    def __init__(
        self,
        handles: Sequence[ActorHandle],
        deadline_s: float = 120.0,
        patience_s: float = 2.0,
    ) -> None:
        if not handles:
            raise ValueError("a replay needs at least one shard")
        self._handles = list(handles)
        self._deadline_s, self._patience_s = deadline_s, patience_s
        self._stats: dict[int, ShardStats] = {}

    def known(self, keys: Sequence[str]) -> Known:
        """Which of the keys have been scored, and their rows in the order of the keys."""
        owners = np.array([shard_of(key, len(self._handles)) for key in keys], dtype=np.int64)
        asked = {s: np.flatnonzero(owners == s) for s in np.unique(owners).tolist()}
        answers = self._call(
            "known", {s: [keys[i] for i in at.tolist()] for s, at in asked.items()}
        )
        found = np.zeros(len(keys), dtype=bool)
        for shard, at in asked.items():
            found[at] = answers[shard].found
        rows = [a.rows for a in answers.values() if a.rows is not None]
        if not rows:
            return Known(found, None)
        order = np.concatenate([at[found[at]] for at in asked.values()])
        return Known(found, concatenate(rows).select(np.argsort(order)))

    def add(self, scored: Scored) -> AddResult:
        """Store rows whose keys aren't known. Returns when the shards hold them.

        After a shard's death in the middle of the call, rows it had already put on record count
        as duplicates.
        """
        parts = {i: p for i, p in enumerate(split(scored, len(self._handles))) if len(p)}
        results = list(self._call("add", parts).values())
        return AddResult(
            sum(r.added for r in results),
            sum(r.duplicates for r in results),
            sum(r.new_valid for r in results),
        )

    def add_refs(self, scored: Scored) -> list[ray.ObjectRef]:
        """`add` without waiting: references to the AddResults of the shards concerned. Raise
        RayActorError on `ray.get` where a shard died: add the same rows again."""
        parts = enumerate(split(scored, len(self._handles)))
        return [self._handles[i].add.remote(p) for i, p in parts if len(p)]

    def sample(self, n: int, seed: int, batches: int = 1) -> list[tuple[SampleMeta, ray.ObjectRef]]:
        """`batches` batches of n trainable rows: (SampleMeta, reference to a TrainingBatch) each.
        The batches stay where they are.

        Each comes whole from one shard, drawn in proportion to its trainable rows as of the last
        `stats`, which this calls if it must: keys are spread by a hash, so a shard's rows are a
        random part of all. Shards that are down or empty are left out until the next `stats`; if
        all are down they are waited for. Raises EmptyReplayError if no shard has anything.
        """
        random = np.random.default_rng(seed)
        sampled: list[tuple[SampleMeta, ray.ObjectRef]] = []
        while len(sampled) < batches:
            for shard, meta, batch in self._draw(n, random, batches - len(sampled)):
                try:
                    sampled.append((self._get(shard, "sample", meta, self._patience_s), batch))
                except EmptyReplayError:  # it came back with less than we knew it to have
                    self._stats[shard] = replace(self._stats[shard], trainable_rows=0)
                except (ActorUnavailableError, TimeoutError):
                    self._stats[shard] = replace(self._stats[shard], live=False)
        return sampled

    def top(self, n: int) -> Scored:
        """The up to n best valid rows of all shards, best first; no rows while there is none."""
        everything = {shard: n for shard in range(len(self._handles))}
        best = concatenate(list(self._call("top", everything).values()))
        return best.select(best_rows(best.rewards, n))

    def stats(self) -> list[ShardStats]:
        """Numbers of each shard (`combine` sums up). One that is down has its last known numbers,
        marked as not live; one that never answered is waited for."""
        unknown = {i: None for i in range(len(self._handles)) if i not in self._stats}
        self._stats |= self._call("stats", unknown)
        refs = {i: self._handles[i].stats.remote() for i in self._stats if i not in unknown}
        until = time.monotonic() + self._patience_s
        for shard, ref in refs.items():
            try:
                left = max(0.0, until - time.monotonic())
                self._stats[shard] = self._get(shard, "stats", ref, left)
            except (ActorUnavailableError, TimeoutError):
                self._stats[shard] = replace(self._stats[shard], live=False)
        return [self._stats[shard] for shard in range(len(self._handles))]

    def flush(self) -> None:
        """Put everything on record."""
        self._call("flush", {shard: None for shard in range(len(self._handles))})

    def _draw(
        self, n: int, random: np.random.Generator, batches: int
    ) -> list[tuple[int, ray.ObjectRef, ray.ObjectRef]]:
        """(shard, meta, batch) of batches of n rows, under way."""
        deadline = time.monotonic() + self._deadline_s
        while not (weights := self._weights()).any():
            if not all(s.live for s in self.stats()) and time.monotonic() < deadline:
                time.sleep(0.2)
                continue
            if not self._weights().any():
                raise EmptyReplayError(
                    "no shard has a trainable row to sample; not answering: "
                    f"{[s.shard for s in self._stats.values() if not s.live] or 'none'}"
                )
        shards = random.choice(len(weights), size=batches, p=weights / weights.sum())
        seeds = random.integers(2**63, size=batches)
        drawn = []
        for shard, seed in zip(shards.tolist(), seeds.tolist(), strict=True):
            method = self._handles[shard].sample.options(num_returns=2)
            meta, batch = method.remote(n, seed)
            drawn.append((shard, meta, batch))
        return drawn

    def _weights(self) -> np.ndarray:
        """Trainable rows of each shard, float64 [R], zero for those not known to be there."""
        weights = np.zeros(len(self._handles))
        for shard, stats in self._stats.items():
            weights[shard] = stats.trainable_rows if stats.live else 0
        return weights

    def _call(self, method: str, arguments: dict[int, Any]) -> dict[int, Any]:
        """Call a method of several shards at once, again for as long as one is restarting."""
        deadline = time.monotonic() + self._deadline_s
        answers: dict[int, Any] = {}
        refs = {shard: self._start(shard, method, a) for shard, a in arguments.items()}
        for shard, ref in refs.items():
            while shard not in answers:
                left = max(0.0, deadline - time.monotonic())
                try:
                    answers[shard] = self._get(shard, method, ref, left)
                except ActorUnavailableError:
                    if left == 0.0:
                        raise
                    time.sleep(min(0.2, left))
                    ref = self._start(shard, method, arguments[shard])
        return answers

    def _start(self, shard: int, method: str, argument: Any) -> ray.ObjectRef:
        call: Callable[..., ray.ObjectRef] = getattr(self._handles[shard], method).remote
        return call() if argument is None else call(argument)

    def _get(self, shard: int, method: str, ref: ray.ObjectRef, seconds: float) -> Any:
        try:
            return ray.get(ref, timeout=seconds)
        except GetTimeoutError as error:
            raise TimeoutError(
                f"replay shard {shard} of {len(self._handles)} hasn't answered {method}() within "
                f"{seconds:.3g} s"
            ) from error
        except ActorDiedError as error:
            raise RuntimeError(f"replay shard {shard} can't be brought back: {error}") from error
