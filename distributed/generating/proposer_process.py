"""A proposer beside the policy as a Ray actor."""

from __future__ import annotations

import os
import sys
import uuid
from typing import Any

import ray

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.generating.proposals import Proposals
from sequence_tutor.distributed.generating.proposers import build_proposer
from sequence_tutor.distributed.packing import received, unpacked
from sequence_tutor.distributed.replay.ray_shards import ray_replay
from sequence_tutor.distributed.types import ActorReport
from sequence_tutor.policies.encodings.base import Encoding


class ProposerProcess:
    """One process of a proposer. It sees the record through the shards and holds no state, so a
    restarted one goes on.

    packed_run: the run, `sent`; shards: handles of the replay shards, `packed`;
    directory: where the user started the run.
    """

    def __init__(
        self,
        packed_run: bytes,
        name: str,
        worker: int,
        shards: bytes,
        encoding: Encoding,
        directory: str,
    ) -> None:
        sys.path.append(directory)
        run: RunConfig = received(packed_run)
        self._id, self._calls = f"{name}-{worker}-{uuid.uuid4().hex[:8]}", 0
        domain = run.domain
        proposer = build_proposer(name, run.proposers.all[name], domain)
        replay = ray_replay(unpacked(shards))
        self._made = Proposals(name, proposer, domain, encoding, replay, run.seed, worker)

    def propose(
        self, n: int, iteration: int | None = None
    ) -> tuple[ActorReport, list[tuple[Any, int]]]:
        """Propose up to n sequences. Returns the report for the driver, and a list with the batch,
        as a reference and its rows; the list is empty where there are none. With `iteration` they
        depend on the record, the seed, the iteration and the worker's number alone."""
        self._calls += 1
        restart = int(self._id[-8:], 16)
        entropy = [self._calls, restart] if iteration is None else [iteration]
        report, batch = self._made.make(n, entropy, self._id)
        return report, [] if batch is None else [(ray.put(batch), len(batch))]

    def process_id(self) -> int:
        """The operating system's number of this process."""
        return os.getpid()
