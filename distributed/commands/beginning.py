"""What a run begins with: the networks of another run or stage, and known rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sequence_tutor.distributed.commands.known_rows import (
    KnownRows,
    read_fork,
    read_known,
    read_stage,
)
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError
from sequence_tutor.distributed.run_directory import checkpoint
from sequence_tutor.distributed.run_directory.fork import CHECKPOINTS, Origin, origin_of
from sequence_tutor.distributed.run_directory.resume import config_of
from sequence_tutor.distributed.run_directory.warm_start import WarmStart
from sequence_tutor.distributed.stages import run_directories
from sequence_tutor.policies.files.storage import Location

if TYPE_CHECKING:
    from sequence_tutor.distributed.commands.optimize import Options
    from sequence_tutor.policies.prior import Prior


@dataclass(frozen=True)
class Beginning:
    """What a run takes of others."""

    networks: checkpoint.Checkpoint | None = None
    """Whose networks it begins with; None for the prior's, or where it has a checkpoint itself."""
    rows: KnownRows | None = None
    """The rows that are in its replay from the start."""
    origin: Origin | None = None
    """The run that it goes on from, if it is no stage."""


def beginning(run: RunConfig, out: Location, prior: Prior, options: Options) -> Beginning:
    """Read what the run in `out` begins with; nothing is scored. Raises ConfigError, CorpusError or
    CheckpointError."""
    if options.follows:
        last = checkpoint.complete(options.follows[-1] / CHECKPOINTS)[-1]
        rows = read_stage(options.follows, options.rescore or 0, run, prior)
        return Beginning(checkpoint.read(last), rows)
    if (origin := origin_for(out, options)) is not None:
        if options.resume and checkpoint.complete(out / CHECKPOINTS):
            return Beginning(origin=origin)  # all that it took is in its own checkpoint
        source = Location(origin.run)
        before = run_directories(source, config_of(source))
        return Beginning(origin.read(), read_fork(before, options.rescore, run, prior), origin)
    if options.warm_start is not None:
        start = WarmStart.of(options.warm_start)
        return Beginning(rows=read_known(start, options.rescore, run, prior, run.domain))
    return Beginning()


def origin_for(out: Location, options: Options) -> Origin | None:
    """The run that the one in `out` goes on from: of a resumed one what its directory says. Raises
    ConfigError where there are a warm start and such a run."""
    origin = origin_of(out) if options.resume else None
    origin = origin or options.fork
    if origin is not None and options.warm_start is not None:
        raise ConfigError(
            "--from and --warm-start exclude each other: a run that goes on from another begins "
            "with its scores"
        )
    return origin
