"""One run from config to finished run directory.

RUN/  config.toml  metrics.jsonl  tensorboard/  scores/  checkpoints/  policy/
      top.csv  best/  samples/
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ray.exceptions import RayError
from rich.console import Console

from sequence_tutor.distributed.config import CheckpointConfig, ConfigError, RunConfig, to_toml
from sequence_tutor.distributed.metrics.display import Display, Progress
from sequence_tutor.distributed.ray_cluster.address import check_cluster
from sequence_tutor.distributed.ray_cluster.background_start import import_in_background
from sequence_tutor.distributed.ray_cluster.join import enter_cluster
from sequence_tutor.distributed.replay.record.retried import forgiven, retry
from sequence_tutor.distributed.replay.record.store import PartStore, RecordError
from sequence_tutor.distributed.report.evaluation import Columns
from sequence_tutor.distributed.report.nothing_learned import why_nothing_was_learned
from sequence_tutor.distributed.report.recorded import read_rewards, record_of
from sequence_tutor.distributed.report.summary import TOP_ROWS, RunSummary, summarize, write_top
from sequence_tutor.distributed.run_directory import checkpoint
from sequence_tutor.distributed.run_directory.resume import check_directory, config_of
from sequence_tutor.distributed.run_directory.starting_prior import check_prior, starting_prior
from sequence_tutor.distributed.run_directory.storage_retry import FailureReporter, retry_storage
from sequence_tutor.distributed.run_directory.warm_start import WarmStart, read_scored, to_scored
from sequence_tutor.distributed.run_directory.warm_start_checks import scale_warnings
from sequence_tutor.distributed.run_directory.working_copy import WorkingCopy
from sequence_tutor.distributed.stop_signal import RunError, StopRequest
from sequence_tutor.distributed.types import Scored
from sequence_tutor.policies.files.storage import Location, Where
from sequence_tutor.rewards.base import Domain
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.isolation.reward import IsolatedReward

if TYPE_CHECKING:
    from sequence_tutor.distributed.algorithm import SequenceTutor
    from sequence_tutor.distributed.metrics.tally import Metrics
    from sequence_tutor.policies.prior import Prior

# What this module needs but doesn't import, as it takes seconds: PyTorch and RLlib.
HEAVY = (
    "sequence_tutor.policies.prior",
    "sequence_tutor.distributed.algorithm",
    "sequence_tutor.distributed.metrics.writer",
)
# Seconds until a checkpoint that failed is tried again, and until the run ends over it.
SAVE_AGAIN_S, SAVE_PATIENCE_S = 30.0, 1800.0


def starting_prior_of(out: Where) -> Prior:
    """The prior that a finished run started from. Raises ConfigError or ValueError."""
    return starting_prior(config_of(out))


def isolated_reward(run: RunConfig) -> IsolatedReward:
    """A run's reward in processes of its own: what it does to them is nothing to us."""
    return IsolatedReward(run.reward, domain_of(run.encoding).name, [str(Path.cwd())])


def optimize(
    run: RunConfig,
    where: Where,
    console: Console,
    resume: bool = False,
    warm_start: WarmStart | Where | None = None,
    retry_failed: bool = False,
    report_samples: int = 0,
) -> RunSummary:
    """Run to the end of its budget or until asked to stop, and leave a complete run directory.

    retry_failed: a resumed run tries again what failed. report_samples: number of sequences each of
    prior and policy scored at the end, beyond the budget.

    Raises RunError, once the record is safe, where a part that can't be replaced dies or storage
    fails for longer than the run waits for it; OSError where what is left can't be uploaded.
    """
    check_cluster()
    import_in_background(*HEAVY)
    out = Location(where)
    # Whatever is wrong with the files should be said before a cluster is started.
    check_prior(run)
    check_directory(run, out, resume)
    with ExitStack() as stack:
        reward = stack.enter_context(isolated_reward(run))
        prior, domain = starting_prior(run), domain_of(run.encoding)
        known = None if warm_start is None else _read_known(warm_start, run, prior, domain, console)
        stop = stack.enter_context(StopRequest())
        work = stack.enter_context(WorkingCopy(out, console))
        enter_cluster(run, console, stop)
        if resume:
            _forgive(run, out, retry_failed, console)
        out.make()
        (out / "config.toml").write(to_toml(run))
        from sequence_tutor.distributed.algorithm_config import SequenceTutorConfig  # by now there

        algorithm = SequenceTutorConfig().tutor(run, out.uri).build_algo()
        algorithm.saves_itself = False  # done here, where what fails is tried again
        try:
            if resume:
                _take_up(algorithm, out)
            if known is not None:
                added = algorithm.replay.add(known).added
                console.print(
                    f"warm start: {added} of {len(known)} sequences are new to the replay"
                )
            _train(algorithm, run, work, console, stop)
            metrics = algorithm.last_metrics
            unlearned = why_nothing_was_learned(run, algorithm.tally, algorithm.trainable_rows)
            policy = algorithm.policy()
            top = algorithm.replay.top(TOP_ROWS)
            retry_storage(lambda: policy.save(out / "policy"), f"write {out / 'policy'}", console)
            retry_storage(
                lambda: write_top(top, out / "top.csv"), f"write {out / 'top.csv'}", console
            )
        except (RayError, RuntimeError, OSError) as error:
            with suppress(Exception):  # what can't be saved any more mustn't hide the cause
                algorithm.replay.flush()
            kind = type(error) if isinstance(error, RunError) else RunError
            raise kind(
                f"{_first_line(error)}; what was scored is on record: go on with --resume --out "
                f"{out}"
            ) from error
        finally:
            algorithm.stop()
        reason = _reason("" if stop.wanted else algorithm.limit_reached(), metrics)
        n = 0 if stop.wanted else report_samples
        rewards = reward_table(run, out, prior, policy, reward, n, run.seed, console, stop)
        if n < report_samples:
            console.print("stopped on request: the report's samples weren't scored")
        summary = summarize(run, work, reason, metrics, top, prior, policy, domain, rewards)
        return replace(summary, shown=[*summary.shown, *filter(None, [unlearned])])


def reward_table(
    run: RunConfig,
    out: Where,
    prior: Prior,
    policy: Prior,
    reward: IsolatedReward | None,
    samples: int,
    seed: int,
    console: Console,
    stop: StopRequest,
) -> Columns:
    """Mean rewards of what a run has on record and, with `samples`, of that number of sequences of
    its prior and its policy. `reward` is asked for those that the record doesn't know. For a run
    that nothing else writes to. Raises ValueError where a record is needed and can't be read."""
    record, reward_id = record_of(run, out), run.reward.identity()
    try:
        recorded = read_rewards(record, reward_id)
        if not samples or reward is None:
            return recorded.columns
        from sequence_tutor.distributed.report.report_samples import ReportSamples, score_samples

        reported = score_samples(
            ReportSamples.of(prior, policy, samples, seed),
            record,
            reward,
            reward_id,
            domain_of(run.encoding),
            recorded.seconds_per_score,
            console,
            lambda: stop.wanted,
        )
        return {**reported, **recorded.columns}
    except RecordError as error:
        if samples:
            raise ValueError(f"the report's samples weren't scored: {error}") from error
        console.print(f"nothing on rewards: {error}", markup=False, soft_wrap=True)
        return {}


def evaluated_rewards(
    out: Where, prior: Prior, policy: Prior, samples: int, seed: int, console: Console
) -> Columns:
    """`reward_table` of a finished run, whose reward is needed with `samples` alone. Raises
    ConfigError or ValueError."""
    run = config_of(out)
    with ExitStack() as stack:
        stop = stack.enter_context(StopRequest())
        reward = stack.enter_context(isolated_reward(run)) if samples else None
        return reward_table(run, out, prior, policy, reward, samples, seed, console, stop)


def _forgive(run: RunConfig, out: Location, failures: bool, console: Console) -> None:
    """Before a run goes on: what failed for no fault of the sequence, or is to be tried again.
    Raises RunError where the record can't be read."""
    record = record_of(run, out)
    if not (record.is_object_store or record.is_dir()):
        return  # it ended before anything was on record
    try:
        retried = retry(PartStore(record), run.reward.identity(), failures)
    except RecordError as error:
        raise RunError(str(error)) from error
    if retried:
        console.print(forgiven(retried, failures))


def _read_known(
    given: WarmStart | Where, run: RunConfig, prior: Prior, domain: Domain, console: Console
) -> Scored:
    """What a warm start brings. Raises ConfigError where the run can do nothing with it."""
    start = WarmStart.of(given)
    sequences, rewards, remarks = read_scored(
        start.where, start.column, start.reward_column, start.lower_is_better
    )
    known, more = to_scored(sequences, rewards, prior.encoding, domain, time.time())
    for remark in [*remarks, *more]:
        _print_plainly(console, remark)
    learnable = int((known.lengths > 0).sum())
    if not len(known) or not (learnable or run.actors.count):
        raise ConfigError(f"nothing in {start.where} can be learned from with {run.prior!r}")
    for warning in scale_warnings(known.rewards, start.where, run, domain.name):
        _print_plainly(console, f"warning: {warning}")
    return known


def _print_plainly(console: Console, text: str) -> None:
    """A line as it is: unbroken, uncoloured, with its brackets."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _print_warnings(algorithm: SequenceTutor, console: Console) -> None:
    for warning in algorithm.invalid.take_warnings():
        _print_plainly(console, f"warning: {warning}")


def _take_up(algorithm: SequenceTutor, out: Location) -> None:
    if saved := checkpoint.complete(out / "checkpoints"):
        algorithm.load_checkpoint(saved[-1].uri)
    else:
        algorithm.start_anew()


def _train(
    algorithm: SequenceTutor,
    run: RunConfig,
    work: WorkingCopy,
    console: Console,
    stop: StopRequest,
) -> None:
    """The loop, with metrics and checkpoints on the way and at the end."""
    from sequence_tutor.distributed.algorithm import patience_s
    from sequence_tutor.distributed.metrics.writer import MetricsWriter

    # in asynchronous mode the first checkpoint waits for the learner, and scoring begins without it
    saved_at_first = run.mode == "synchronous"
    if saved_at_first:
        retry_storage(algorithm.save_run_checkpoint, "write a checkpoint", console)
    tally = algorithm.tally
    work.fetch("metrics.jsonl")
    writer = MetricsWriter(work.path, tally.iteration, tally.updates)

    def save() -> None:
        # metrics first: a run goes on from a checkpoint with all that was before it
        writer.flush()
        work.upload()
        algorithm.save_run_checkpoint()

    saves = _Saves(save, run.checkpoint, tally.updates, console, at_once=not saved_at_first)
    try:
        with Display(console) as display:
            progress = Progress(run, display)
            _print_plainly(console, algorithm.invalid.said)
            learns_on = False
            while not (stop.wanted or algorithm.finished()):
                algorithm.train()
                metrics = algorithm.last_metrics
                if not learns_on and algorithm.out_of_budget() and not algorithm.finished():
                    learns_on = True
                    owed = algorithm.updates_owed() + algorithm.learning.updates
                    console.print(f"budget used; learning on to the replay ratio: {owed} updates")
                writer.write(metrics)
                progress.show(metrics)
                _print_warnings(algorithm, console)
                if algorithm.learners_are_there():
                    saves.save_if_due(metrics.updates)
        retry_storage(
            lambda: algorithm.drain(patience_s(run)), "put the last scores on record", console
        )
        writer.write(algorithm.last_metrics)
        _print_warnings(algorithm, console)
        retry_storage(save, "write a checkpoint", console)
    finally:
        writer.close()


class _Saves:
    """Checkpoints when they are due. Storage that fails for a while doesn't end the run."""

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
        self._complaint = FailureReporter("write a checkpoint", console, SAVE_PATIENCE_S)

    def save_if_due(self, updates: int) -> None:
        """Raises OSError where it has failed for SAVE_PATIENCE_S."""
        now = time.monotonic()
        due = now - self._at >= self._when.seconds or updates - self._updates >= self._when.updates
        if not due or now < self._next_try:
            return
        with self._complaint.instead_of_error():
            self._save()
            self._updates, self._at = updates, time.monotonic()
        self._next_try = time.monotonic() + SAVE_AGAIN_S if self._complaint.goes_on else 0.0


def _reason(limit: str, metrics: Metrics) -> str:
    """Why a run has ended, given the limit that it has reached, or "" where it was asked to end."""
    if not limit:
        return "stopped on request"
    if limit == "stop.scores":
        return "budget used"
    if limit == "stop.sequences":
        return f"ended: {limit}, {metrics.sequences:,} sequences generated"
    return f"ended: {limit}"


def _first_line(error: Exception) -> str:
    """The cause of an error, not the tracebacks that Ray puts into its text."""
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {lines[0] if lines else ''}"
