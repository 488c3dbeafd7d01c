"""The checks of a config and of the run directory that raise before anything is started."""

from __future__ import annotations

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError
from sequence_tutor.distributed.generating.genetic import GENETIC
from sequence_tutor.distributed.generating.proposers import check_proposers
from sequence_tutor.distributed.metrics.trackers import check_trackers
from sequence_tutor.distributed.replay.worth.worth import worth_of
from sequence_tutor.distributed.run_directory.resume import check_directory
from sequence_tutor.distributed.run_directory.starting_prior import check_prior
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.rewards.compile import call_order


def check_config(run: RunConfig) -> None:
    """Raises ValueError with one sentence for what a run can't be started with. Nothing is
    compiled: a user's function isn't imported."""
    if run.reward.standardize:
        raise ConfigError(
            "reward.standardize is for `score` alone: a run learns from sequences as they are "
            "written; leave it out"
        )
    check_prior(run)
    check_proposers(run)
    check_trackers(run.tracking)
    worth_of(run)
    call_order(run.reward, run.domain.name)


def check_start(run: RunConfig, out: Location, resume: bool, has_rows: bool) -> None:
    """As `check_config`, and whether the run may start or resume in `out`. has_rows: whether it
    begins with known sequences."""
    check_config(run)
    if not (resume or has_rows):
        _check_parents(run)
    check_directory(run, out, resume)


def _check_parents(run: RunConfig) -> None:
    """Raises ConfigError where nothing makes the first parents."""
    own_record = run.replay.record is None  # another may have rows already
    if own_record and not run.actors.count and set(run.proposers.all) == {GENETIC}:
        raise ConfigError(
            "proposers.genetic has no parents: nothing is on record yet, and actors.count = 0; set "
            "actors.count, or give [proposers.data] or --warm-start"
        )
