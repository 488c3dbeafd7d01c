"""One run from its config to a finished run directory, on Ray or in this process.

RUN/  config.toml  metrics.jsonl  tensorboard/  scores/  checkpoints/  policy/
      top.csv  best/  samples/  logs/
      and, with aggregate = "pareto", pareto.csv, and, with generate.near, changes.csv

With stages, each is such a directory, RUN/stage-1/ and so on, and RUN has the logs of all, and the
policy and top.csv of the last, or of the one that was stopped.

Every mistake in the config or the files raises before a cluster is started. A run that fails leaves
its scores on record, and `--resume` continues it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console

from sequence_tutor.distributed.commands.beginning import Beginning, beginning
from sequence_tutor.distributed.commands.checks import check_start
from sequence_tutor.distributed.commands.engine import engine_of
from sequence_tutor.distributed.commands.plain_print import print_plainly
from sequence_tutor.distributed.commands.staged import STOPPED, staged_rounds
from sequence_tutor.distributed.config import CheckpointConfig, RunConfig
from sequence_tutor.distributed.config_file import to_toml
from sequence_tutor.distributed.metrics.display import Display, Progress
from sequence_tutor.distributed.metrics.trackers import Trackers
from sequence_tutor.distributed.ray_cluster.background_start import import_in_background
from sequence_tutor.distributed.replay.record.retried import forgiven, retry
from sequence_tutor.distributed.replay.record.store import PartStore, RecordError, record_of
from sequence_tutor.distributed.report.changes import CHANGES, changes_csv, changes_of
from sequence_tutor.distributed.report.front import front_csv, front_of
from sequence_tutor.distributed.report.nothing_learned import why_nothing_was_learned
from sequence_tutor.distributed.report.reward_table import reward_table
from sequence_tutor.distributed.report.summary import (
    FRONT,
    TOP_ROWS,
    RunSummary,
    print_summary,
    summarize,
    write_top,
)
from sequence_tutor.distributed.run_directory import checkpoint
from sequence_tutor.distributed.run_directory.attempt_log import AttemptLog, attempt_log
from sequence_tutor.distributed.run_directory.fork import Origin
from sequence_tutor.distributed.run_directory.resume import flat_config
from sequence_tutor.distributed.run_directory.starting_prior import starting_prior
from sequence_tutor.distributed.run_directory.storage_retry import FailureReporter, retry_storage
from sequence_tutor.distributed.run_directory.warm_start import WarmStart
from sequence_tutor.distributed.run_directory.working_copy import WorkingCopy
from sequence_tutor.distributed.stop_signal import RunError, StopRequest
from sequence_tutor.distributed.types import POLICY
from sequence_tutor.policies.files.storage import Location, Where
from sequence_tutor.rewards.compile import call_order

if TYPE_CHECKING:
    from sequence_tutor.distributed.metrics.tally import Metrics

# Seconds between two attempts at a checkpoint, and seconds of failures after which the run ends.
SAVE_AGAIN_S, SAVE_PATIENCE_S = 30.0, 1800.0


@dataclass(frozen=True)
class Options:
    """Options of a run that its config doesn't have."""

    resume: bool = False
    """Whether to continue the run in the run directory."""
    warm_start: WarmStart | Where | None = None
    """Sequences with rewards, or an earlier run, to learn from at once."""
    rescore: int | None = None
    """Sequences of an earlier run, at most, for which components that it hadn't are called beyond
    the budget; None where it is an error if there are such."""
    retry_failed: bool = False
    """Whether a resumed run scores failed sequences again."""
    report_samples: int = 0
    """Sequences each of prior and policy to score at the end, beyond the budget."""
    local: bool = False
    """Whether to run in this process, without Ray."""
    fork: Origin | None = None
    """The run and its checkpoint that this one goes on from; None for a new one. A resumed run
    knows it from its directory."""
    follows: tuple[Location, ...] = ()
    """The directories of the stages before, in order: this one begins with the policy of the last
    and with the scores of all."""


def optimize(
    run: RunConfig, where: Where, console: Console, options: Options | None = None
) -> RunSummary:
    """Run `optimize_rounds` to its end, print the summary and return it."""
    with attempt_log(console) as log:
        rounds = _logged_rounds(run, Location(where), console, options or Options(), log)
        while True:
            try:
                next(rounds)
            except StopIteration as end:
                summary: RunSummary = end.value
                print_summary(summary, where, console)
                return summary


def optimize_rounds(
    run: RunConfig, where: Where, console: Console, options: Options | None = None
) -> Generator[Any, None, RunSummary]:
    """Run until the budget is used or a stop is requested, and write a complete run directory.
    Yields the run, a `Training`, after each round, or each second on Ray; returns the summary.
    A generator that is closed early saves a checkpoint.

    Raises RunError, after flushing the record, if a part dies that can't be replaced or if storage
    fails for too long; OSError if the files that are left can't be uploaded.
    """
    with attempt_log(console) as log:
        options = options or Options()
        return (yield from _logged_rounds(run, Location(where), console, options, log))


def _logged_rounds(
    run: RunConfig, out: Location, console: Console, options: Options, log: AttemptLog
) -> Generator[Any, None, RunSummary]:
    if not run.stage:
        return (yield from _rounds(run, out, console, options, log))
    one_run = partial(_rounds, log=log)
    return (yield from staged_rounds(run, out, console, options, log, one_run))


def _rounds(
    run: RunConfig, out: Location, console: Console, options: Options, log: AttemptLog
) -> Generator[Any, None, RunSummary]:
    """The rounds of a run without stages, or of one stage."""
    engine = engine_of(options.local)
    run = engine.prepare(run).with_pins()
    import_in_background(*engine.heavy)
    has_rows = bool(options.warm_start or options.follows or options.fork)
    check_start(run, out, options.resume, has_rows)
    with ExitStack() as stack:
        reward = stack.enter_context(engine.reward(run))
        prior, domain = starting_prior(run), run.domain
        begins = beginning(run, out, prior, options)
        stop = stack.enter_context(StopRequest())
        work = stack.enter_context(WorkingCopy(out, console))
        tracked = Trackers(run.tracking, flat_config(run), out, options.resume, console)
        stack.enter_context(tracked)
        if options.resume:
            log.begin(out)  # before a cluster is waited for
        engine.enter(run, console, stop)
        if options.resume:
            _void_failures(run, out, options.retry_failed, console)
        out.make()
        log.begin(out)
        (out / "config.toml").write(to_toml(run))
        tracked.save_ids()
        if begins.origin is not None:
            begins.origin.write(out)
            _say_origin(begins, console)
        known = begins.rows
        rows = None if known is None else known.rows(out, options.local, console)
        training = engine.build(run, out)
        try:
            if begins.networks is not None:
                training.follow(begins.networks)
            if options.resume:
                _load_or_start(training, out)
            if begins.origin is not None:
                training.updates_before = begins.origin.updates
            if rows is not None:
                added = training.replay.add(rows).added
                training.replay.share()
                console.print(f"warm start: {added} of {len(rows)} sequences are new to the replay")
            yield from _train(training, run, work, tracked, console, stop, log)
            metrics = training.last_metrics
            unlearned = why_nothing_was_learned(run, training.tally, training.trainable_rows)
            policies = training.policies()
            policy = policies[POLICY]
            top = training.replay.top(TOP_ROWS)
            best = out / "top.csv"
            for name, one in policies.items():
                place = out / name
                retry_storage(partial(one.save, place), f"write {place}", console)
            retry_storage(lambda: write_top(top, best), f"write {best}", console)
        except engine.errors as error:
            with suppress(Exception):  # a failed flush mustn't hide the cause
                training.replay.flush()
            kind = type(error) if isinstance(error, RunError) else RunError
            raise kind(
                f"{_first_line(error)}; what was scored is on record: go on with --resume --out "
                f"{out}"
            ) from error
        finally:
            training.stop()
        reason = _reason("" if stop.wanted else training.limit_reached(), metrics)
        n = 0 if stop.wanted else options.report_samples
        rewards = reward_table(run, out, prior, policy, reward, n, run.seed, console, stop)
        if n < options.report_samples:
            console.print("stopped on request: the report's samples weren't scored")
        front = front_of(run, out, console)
        if front is not None:
            place, text = out / FRONT, front_csv(front)
            retry_storage(lambda: place.write(text), f"write {place}", console)
        changes = changes_of(run, top)
        if changes:
            file, table = out / CHANGES, changes_csv(changes)
            retry_storage(lambda: file.write(table), f"write {file}", console)
        summary = summarize(run, work, reason, metrics, top, prior, policy, domain, rewards, front)
        shown = [*summary.shown, *filter(None, [unlearned])]
        return replace(summary, shown=shown, changes=changes)


def _void_failures(run: RunConfig, out: Location, failures: bool, console: Console) -> None:
    """Void the rows of a resumed run that it scores again: those that failed without a fault of the
    sequence, and all failed ones if `failures`. Raises RunError if the record can't be read."""
    record = record_of(run.replay, out)
    if not (record.is_object_store or record.is_dir()):
        return  # the run ended before a row was on record
    try:
        retried = retry(PartStore(record), run.reward.identity(), failures)
    except RecordError as error:
        raise RunError(str(error)) from error
    if retried:
        console.print(forgiven(retried, failures))


def _print_warnings(training: Any, console: Console) -> None:
    for warning in training.take_warnings():
        print_plainly(console, f"warning: {warning}")


def _say_origin(begins: Beginning, console: Console) -> None:
    origin = begins.origin
    assert origin is not None
    if begins.networks is None:  # a resumed run has taken all of it
        return
    saved = Location(origin.checkpoint)  # whose text has no keys of a URI
    print_plainly(console, f"going on from {saved}, after {origin.updates:,} updates")
    if begins.rows is None:
        text = "has no score that this [reward] can use: its policy alone is taken"
        print_plainly(console, f"{Location(origin.run)} {text}")


def _load_or_start(training: Any, out: Location) -> None:
    if saved := checkpoint.complete(out / "checkpoints"):
        training.load_checkpoint(saved[-1].uri)
    else:
        training.start_anew()


def _train(
    training: Any,
    run: RunConfig,
    work: WorkingCopy,
    tracked: Trackers,
    console: Console,
    stop: StopRequest,
    log: AttemptLog,
) -> Generator[Any, None, None]:
    """Train until the run is finished; write metrics and checkpoints during it and at the end."""
    from sequence_tutor.distributed.metrics.writer import MetricsWriter

    # in asynchronous mode the first checkpoint waits until the learner has started
    saved_at_first = run.mode == "synchronous"
    if saved_at_first:
        retry_storage(training.save_run_checkpoint, "write a checkpoint", console)
    tally = training.tally
    work.fetch("metrics.jsonl")
    writer = MetricsWriter(work.path, tally.iteration, tally.updates)

    def save() -> None:
        # metrics first: a checkpoint must not be newer than the metrics beside it
        writer.flush()
        work.upload()
        training.save_run_checkpoint()

    def end() -> None:
        from sequence_tutor.distributed.training import patience_s

        last_scores = "put the last scores on record"
        retry_storage(lambda: training.drain(patience_s(run.reward)), last_scores, console)
        writer.write(training.last_metrics)
        tracked.write(training.last_metrics, last=True)
        _print_warnings(training, console)
        retry_storage(save, "write a checkpoint", console)

    saves = _Saves(save, run.checkpoint, tally.updates, console, at_once=not saved_at_first)
    try:
        with Display(console, log.note) as display:
            progress = Progress(run, display, training.updates_before)
            print_plainly(console, training.invalid.said)
            if order := call_order(run.reward, run.domain.name):
                print_plainly(console, order)
            learns_on = False
            while not (stop.wanted or training.finished()):
                training.train()
                metrics = training.last_metrics
                owed = None
                if training.out_of_budget() and not training.finished():
                    owed = training.updates_owed() + training.learning.updates
                    if not learns_on:
                        learns_on = True
                        print_plainly(
                            console, f"budget used; learning on to the replay ratio: {owed} updates"
                        )
                writer.write(metrics)
                tracked.write(metrics)
                progress.show(metrics, training.best, owed)
                _print_warnings(training, console)
                if training.learners_are_there():
                    saves.save_if_due(metrics.updates)
                try:
                    yield training
                except GeneratorExit:  # the caller left the loop; the run can be resumed
                    end()
                    raise
        end()
    finally:
        writer.close()


class _Saves:
    """Saves checkpoints when they are due. Storage that fails for a while doesn't end the run."""

    def __init__(
        self,
        save: Callable[[], None],
        when: CheckpointConfig,
        updates: int,
        console: Console,
        at_once: bool,
    ) -> None:
        self._save, self._when = save, when
        self._updates, self._at = updates, -math.inf if at_once else time.monotonic()
        self._next_try = 0.0
        self._failures = FailureReporter("write a checkpoint", console, SAVE_PATIENCE_S)

    def save_if_due(self, updates: int) -> None:
        """Save if due. Raises OSError once saving has failed for SAVE_PATIENCE_S."""
        now = time.monotonic()
        due = now - self._at >= self._when.seconds or updates - self._updates >= self._when.updates
        if not due or now < self._next_try:
            return
        with self._failures.instead_of_error():
            self._save()
            self._updates, self._at = updates, time.monotonic()
        self._next_try = time.monotonic() + SAVE_AGAIN_S if self._failures.goes_on else 0.0


def _reason(limit: str, metrics: Metrics) -> str:
    """Why a run ended. limit: the limit that it has reached; "" if it was stopped on request."""
    if not limit:
        return STOPPED
    if limit == "stop.scores":
        return "budget used"
    if limit == "stop.sequences":
        return f"ended: {limit}, {metrics.sequences:,} sequences generated"
    return f"ended: {limit}"


def _first_line(error: Exception) -> str:
    """Type and first line of an error's cause, without the tracebacks that Ray adds to its text."""
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {lines[0] if lines else ''}"
