"""A run in stages: one run after the other, in RUN/stage-1, RUN/stage-2 and so on."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Console

from sequence_tutor.distributed.commands.beginning import origin_for
from sequence_tutor.distributed.commands.checks import check_config
from sequence_tutor.distributed.commands.engine import engine_of
from sequence_tutor.distributed.commands.plain_print import print_plainly
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import to_toml
from sequence_tutor.distributed.population import policy_name
from sequence_tutor.distributed.report.changes import CHANGES
from sequence_tutor.distributed.report.summary import FRONT, RunSummary
from sequence_tutor.distributed.run_directory.attempt_log import AttemptLog
from sequence_tutor.distributed.run_directory.resume import check_directory
from sequence_tutor.distributed.run_directory.starting_prior import starting_prior
from sequence_tutor.distributed.stages import STAGE, stage_runs
from sequence_tutor.policies.files.storage import Location

if TYPE_CHECKING:
    from sequence_tutor.distributed.commands.optimize import Options

OneRun = Callable[..., Generator[Any, None, RunSummary]]
# Why a run ended that was stopped.
STOPPED = "stopped on request"
# File of a stage that says that it is over.
DONE = "_ENDED"


def staged_rounds(
    run: RunConfig,
    out: Location,
    console: Console,
    options: Options,
    log: AttemptLog,
    one_run: OneRun,
) -> Generator[Any, None, RunSummary]:
    """Run the stages that aren't finished, and put the results of the last one, or of the one that
    was stopped, into `out` too. Yields and raises as `one_run`, which makes the rounds of a run
    without stages."""
    engine, runs = engine_of(options.local), stage_runs(run)
    for stage_run in [run, *runs]:  # a mistake in a later stage should raise now
        check_config(stage_run)
        engine.prepare(stage_run)
    with engine.reward(run):  # which compiles it
        starting_prior(run)
    check_directory(run, out, options.resume)
    out.make()
    log.begin(out)
    (out / "config.toml").write(to_toml(run))
    if (origin := origin_for(out, options)) is not None:
        origin.write(out)  # a resumed run whose first stage hasn't begun knows it from there
        options = replace(options, fork=origin)
    first, summary = options, None
    for number, (one, stage) in enumerate(zip(runs, run.stage, strict=True), start=1):
        here, last = out / STAGE.format(number), number == len(runs)
        begun = (here / "config.toml").is_file()
        if not last and begun and (here / DONE).is_file():
            continue
        options = replace(first, resume=begun, retry_failed=first.retry_failed and begun)
        if number > 1:
            before = tuple(out / STAGE.format(earlier) for earlier in range(1, number))
            options = replace(
                options, warm_start=None, fork=None, rescore=stage.rescore, follows=before
            )
        if not last:
            options = replace(options, report_samples=0)
        print_plainly(console, f"stage {number} of {len(runs)}, into {here}")
        summary = yield from one_run(one, here, console, options)
        if summary.reason == STOPPED:
            _copy_results(run, here, out)
            return summary
        (here / DONE).write(f"{summary.reason}\n")
        if not last:
            print_plainly(console, f"stage {number}: {summary.reason}")
    assert summary is not None
    _copy_results(run, out / STAGE.format(len(runs)), out)
    return summary


def _copy_results(run: RunConfig, stage: Location, out: Location) -> None:
    """Copy the policies and the best sequences of a stage into the run directory."""
    policies = map(policy_name, range(len(run.learner.population)))
    for name in [*policies, "top.csv", FRONT, CHANGES]:
        if (source := stage / name).exists():
            _copy(source, out / name)
        else:  # of a stage that was stopped before
            (out / name).remove()


def _copy(source: Location, target: Location) -> None:
    """Copy a file, or the files of a folder."""
    if not source.is_dir():
        target.write(source.read())
        return
    target.make()
    for name in source.names():
        _copy(source / name, target / name)
