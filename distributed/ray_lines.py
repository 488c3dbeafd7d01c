"""Scores the lines of a file with Ray: hands batches of lines to scorers, yields their reports.

Scorers write the results themselves; the driver never sees the lines' scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import ray
from ray.actor import ActorHandle

from sequence_tutor.distributed.bulk.assemble import Outputs
from sequence_tutor.distributed.bulk.estimate import Estimate
from sequence_tutor.distributed.bulk.lines import Batch
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.metrics.prometheus import BulkExporter
from sequence_tutor.distributed.replay.ray_shards import ray_replay
from sequence_tutor.distributed.scoring.attachments import AttachmentStore
from sequence_tutor.distributed.scoring.batch_size import BatchSize
from sequence_tutor.distributed.scoring.lines import LinesReport
from sequence_tutor.distributed.scoring.pool import ScorerPool
from sequence_tutor.distributed.start_processes import start_scorers, start_shards
from sequence_tutor.distributed.stop_signal import StopRequest

# Most batches that a scorer has at a time. More than in a run, as lines don't get stale.
HANDED_PER_SCORER = 4
# Seconds the driver waits for a report, at most.
WAIT_S = 0.5


@dataclass
class LineBatch:
    """Consecutive lines for a scorer; see `scoring.task.Task`."""

    lines: Batch
    """The lines."""
    directory: str
    """Directory or URI to which the results are written."""
    allowance: int = 0
    """Number of lines that may be scored, set when the batch is handed out."""
    attempts: int = 0
    """Number of losses of the batch since it can't be cut any smaller."""
    given_up: bool = False
    """Whether to write the lines as crashed instead of scoring them."""

    @property
    def size(self) -> int:
        return len(self.lines.sequences)

    def send(self, process: ActorHandle) -> ray.ObjectRef:
        method = process.give_up if self.given_up else process.score_lines
        return method.remote(self.lines.first, self.lines.sequences, self.directory)

    def split(self, n: int) -> tuple[LineBatch, LineBatch]:
        first, lines = self.lines.first, self.lines.sequences
        parts = Batch(first, lines[:n]), Batch(first + n, lines[n:])
        return LineBatch(parts[0], self.directory), LineBatch(parts[1], self.directory)


class RayLineScorers:
    """Shards and scorers for one file; Ray must be running. See `LineScorers`."""

    def __init__(self, run: RunConfig, outputs: Outputs) -> None:
        self._shards = start_shards(run, outputs.record.uri, None)
        self._replay = ray_replay(self._shards)
        self._idle_s = run.scorers.idle_s
        least, most = run.scorers.least, run.scorers.count
        files = AttachmentStore(outputs.record)
        fleet = start_scorers(run, self._shards, least, most, files, handed=HANDED_PER_SCORER)
        self._pool: ScorerPool[LinesReport] = ScorerPool(fleet, give_up=_given_up)
        self._exporter = BulkExporter(outputs.csv.name.removesuffix(".csv"))

    @property
    def batch_size(self) -> BatchSize:
        return self._pool.batch_size

    def reports(
        self, left: Iterator[Batch], directory: str, stop: StopRequest
    ) -> Iterator[LinesReport]:
        more, pool = True, self._pool
        while True:
            while more and not stop.wanted and not pool.full:
                batch = next(left, None)
                if more := batch is not None:
                    assert batch is not None
                    pool.put(LineBatch(batch, directory))
            if stop.wanted:
                pool.drop_waiting()
            pool.dispatch()
            if not pool.tasks:
                return
            yield from pool.collect(WAIT_S)

    def tell(self, estimate: Estimate, counts: np.ndarray) -> None:
        left_s = ((estimate.total or 0) - estimate.done) * self.batch_size.seconds_per_row
        # each scorer should have work for idle_s seconds
        self._pool.fleet.want(math.ceil(left_s / self._idle_s))
        self._exporter.export(estimate, counts)

    def flush(self) -> None:
        self._replay.flush()

    def __enter__(self) -> RayLineScorers:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.kill()
        for shard in self._shards:
            ray.kill(shard)


def _given_up(task: LineBatch) -> LineBatch:
    return LineBatch(task.lines, task.directory, given_up=True)
