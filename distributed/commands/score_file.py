"""The score command: scores a file of any size, on Ray or in this process.

OUT.csv and OUT.parquet are the results, one row per line. OUT.parts/ holds the results of finished
batches until all are done. OUT.record/ holds every distinct sequence that was scored, as a run's
scores/ does, with the config and the fingerprint of the file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

import numpy as np
from rich.console import Console

from sequence_tutor.distributed.bulk.assemble import Outputs, assemble
from sequence_tutor.distributed.bulk.carried import UserColumns
from sequence_tutor.distributed.bulk.estimate import Estimate
from sequence_tutor.distributed.bulk.lines import (
    Batch,
    BulkError,
    batches,
    count_lines,
    read_lines,
)
from sequence_tutor.distributed.bulk.results import done_ranges, forget, tallies
from sequence_tutor.distributed.commands.engine import engine_of
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, to_toml
from sequence_tutor.distributed.metrics.display import Display
from sequence_tutor.distributed.replay.record.retried import forgiven, retry
from sequence_tutor.distributed.replay.record.store import PartStore, RecordError
from sequence_tutor.distributed.run_directory.resume import config_of
from sequence_tutor.distributed.scoring.batch_size import BatchSize
from sequence_tutor.distributed.scoring.lines import LinesReport
from sequence_tutor.distributed.stop_signal import StopRequest
from sequence_tutor.policies.files.storage import Location, Where
from sequence_tutor.rewards.base import Status

# Name of the record's file that identifies the scored file; bytes that are hashed at either end.
SOURCE, SAMPLED_BYTES = "source.json", 1 << 20


class LineScorers(AbstractContextManager["LineScorers"], Protocol):
    """Scores lines: `ray_lines.RayLineScorers` or `local.LocalLineScorers`."""

    @property
    def batch_size(self) -> BatchSize:
        """The number of lines that a batch should have."""

    def reports(
        self, left: Iterator[Batch], directory: str, stop: StopRequest
    ) -> Iterator[LinesReport]:
        """Score the batches that are `left`, write their results into `directory` and yield a
        report of each. Takes a batch only when a scorer needs one, and none after a stop request.
        """

    def tell(self, estimate: Estimate, counts: np.ndarray) -> None:
        """Take the progress: estimate of the lines to do, and int64 [len(Status)] lines done by
        status."""

    def flush(self) -> None:
        """Write all scores to the record."""


@dataclass(frozen=True)
class ScoreSummary:
    """The results of a file."""

    counts: np.ndarray
    """int64 [len(Status)], number of lines by status."""
    finished: bool
    """Whether all lines have a result."""
    seconds: float
    """Wall-clock seconds since this start of the command."""


def score_file(
    run: RunConfig,
    file: Where,
    out: Where,
    column: str | None,
    resume: bool,
    console: Console,
    retry_failed: bool = False,
    local: bool = False,
) -> ScoreSummary:
    """Score every line; stops cleanly on request, and continues with `resume`.

    A line that failed has a result too. `resume` scores it again only if its scorer died or if the
    reward has never worked. `retry_failed` scores all failed lines again, also in a finished
    result, which is replaced once the new one is complete. `local` runs in this process, without
    Ray. Raises ConfigError, BulkError, CorpusError or OSError for a mistake of the user.
    """
    engine = engine_of(local)
    run = engine.prepare(run, scoring_only=True).with_pins()
    path, outputs = Location(file), Outputs.of(out)
    record = outputs.record
    if not record.is_local:
        record.check_writable()
    lines = read_lines(path, column)
    source = _source(path, column)
    _check(run, source, outputs, record, resume, retry_failed)
    engine.reward(run).close()
    total = count_lines(path, column)
    started = time.monotonic()
    for directory in (outputs.fragments, record):
        directory.make()
    (record / SOURCE).write(source)
    (record / "config.toml").write(to_toml(run))
    if resume:
        _forget_retried(run, outputs, retry_failed, console)
    done = done_ranges(outputs.fragments)
    before = tallies(outputs.fragments)
    counts = np.array([before[status] for status in Status], dtype=np.int64)
    estimate = Estimate(total, int(counts.sum()))
    stop = StopRequest()
    with stop:
        scorers = engine.line_scorers(run, outputs, console, stop)
    left = batches(lines, scorers.batch_size, done)
    with scorers:
        with stop, Display(console) as display:
            for report in scorers.reports(left, outputs.fragments.uri, stop):
                counts += report.counts
                estimate.add(report.rows, report.seconds)
                display.show(f"{estimate}: {_by_status(counts)}")
                scorers.tell(estimate, counts)
        scorers.flush()
    if finished := int(counts.sum()) >= total and not stop.wanted:
        assemble(outputs, total, UserColumns(path, column))
        outputs.fragments.remove()
    return ScoreSummary(counts, finished, time.monotonic() - started)


def print_score_summary(summary: ScoreSummary, out: Where, console: Console) -> None:
    """Print the number of lines by status, and where the results are."""
    outputs = Outputs.of(out)
    rate = summary.counts.sum() / max(summary.seconds, 1e-9)
    console.print(f"{_by_status(summary.counts)} in {summary.seconds:.0f} s ({rate:.0f}/s)")
    if summary.finished:
        console.print(f"the results are in {outputs.csv} and {outputs.parquet}", soft_wrap=True)
    else:
        go_on = f"go on with --resume --out {outputs.csv}"
        console.print(f"stopped on request; {go_on}", soft_wrap=True)


def _forget_retried(run: RunConfig, outputs: Outputs, failures: bool, console: Console) -> None:
    """Delete the results of the lines that a resumed command scores again."""
    try:
        retried = retry(PartStore(outputs.record), run.reward.identity(), failures)
    except RecordError as error:
        raise BulkError(str(error)) from error
    if retried:
        console.print(forgiven(retried, failures))
    forget(outputs.fragments, failures=failures or retried > 0)


def _check(
    run: RunConfig,
    source: str,
    outputs: Outputs,
    record: Location,
    resume: bool,
    retry_failed: bool,
) -> None:
    # with fragments the results may be incomplete: the command may have ended while writing them
    unfinished = resume and (retry_failed or outputs.fragments.is_dir())
    for path in (outputs.csv, outputs.parquet):
        if path.exists() and not unfinished:
            more = ", or add --retry-failed to try again what failed" if resume else ""
            raise BulkError(f"{path} exists already; choose another --out{more}")
    if not resume:
        for path in (outputs.fragments, record):
            if path.is_taken():
                raise BulkError(f"{path} exists already; choose another --out, or --resume it")
        return
    if not (record / "config.toml").is_file():
        raise BulkError(f"there is nothing to resume: {record} holds no config.toml")
    before = config_of(record)
    if (before.encoding, before.reward.identity()) != (run.encoding, run.reward.identity()):
        raise ConfigError(f"{record} was scored with another [reward] or encoding")
    if (record / SOURCE).read().decode("utf-8") != source:
        raise BulkError(f"{record} was made from another file, or another --column of it")


def _source(path: Location, column: str | None) -> str:
    """JSON that identifies a file: its size, the column and a digest of both ends."""
    digest = blake2b(digest_size=16)
    size = path.size()
    with path.open() as file:
        digest.update(file.read(SAMPLED_BYTES))
        file.seek(max(0, size - SAMPLED_BYTES))
        digest.update(file.read(SAMPLED_BYTES))
    identity = {"bytes": size, "column": column, "ends": digest.hexdigest()}
    return json.dumps(identity, indent=1) + "\n"


def _by_status(counts: np.ndarray) -> str:
    """Numbers of lines by status, such as "9,000 ok, 12 invalid, 3 timeout"."""
    shown = [(s, int(n)) for s, n in zip(Status, counts, strict=True) if n or s == Status.OK]
    return ", ".join(f"{n:,} {status.name.lower()}" for status, n in shown)
