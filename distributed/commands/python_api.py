"""A run from Python, as the command makes it: one call, and a whole run directory."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from rich.console import Console

from sequence_tutor.distributed.commands.retries import optimize_with_retries
from sequence_tutor.distributed.config import RunConfig, load_config, parse_config
from sequence_tutor.distributed.metrics.tally import Metrics
from sequence_tutor.distributed.report.evaluation import Columns
from sequence_tutor.distributed.report.summary import print_summary
from sequence_tutor.distributed.run_directory.warm_start import WarmStart
from sequence_tutor.policies.files.storage import Location, Where

if TYPE_CHECKING:
    from sequence_tutor.policies.prior import Prior

Config = str | Path | dict[str, Any] | RunConfig
# What Ray is started with here, and mustn't be left to a Ray that the caller starts later.
_ENVIRONMENT = ("RAY_AUTH_MODE",)


@dataclass(frozen=True)
class Result:
    """A finished run.

    reason: why it ended; metrics: its last ones; top: the best distinct sequences, best first, each
    with its `key`, `sequence`, `reward`, the value of each component (`raw.NAME`), `version` and
    `source`; comparison: numbers by column of the table that compares prior and policy.
    """

    directory: Location
    reason: str
    metrics: Metrics
    top: list[dict[str, Any]]
    comparison: Columns

    @property
    def policy_path(self) -> Location:
        """The directory of the tuned policy, usable wherever a prior is."""
        return self.directory / "policy"

    def policy(self) -> Prior:
        """The tuned policy: `policy().sample(100)`."""
        from sequence_tutor.policies.prior import load_prior

        return load_prior(self.policy_path)


def optimize(
    config: Config,
    out: Where,
    *,
    resume: bool = False,
    warm_start: WarmStart | Where | None = None,
    retries: int = 0,
    retry_failed: bool = False,
    report_samples: int = 0,
    quiet: bool = False,
) -> Result:
    """Tune a policy as `sequence-tutor optimize` does, and leave the same run directory in `out`.

    config: a TOML file, its content as nested dicts, or a RunConfig. A `python` component of a dict
    takes a function itself. The others are the command's options; quiet: print nothing on the way.
    Works in any thread; in the main one Ctrl-C stops cleanly. Ray is left as it was found: started
    here, it is ended here.

    Raises ConfigError and other ValueErrors for what the caller can mend, RunError where the run
    can't go on, OSError where storage fails.
    """
    if isinstance(config, dict):
        run = parse_config(config)
    else:
        run = config if isinstance(config, RunConfig) else load_config(config)
    directory = Location(out)
    console = Console(quiet=quiet, markup=False)
    with _ray_as_it_was():
        summary = optimize_with_retries(
            run,
            directory,
            console,
            resume,
            warm_start,
            retries,
            retry_failed=retry_failed,
            report_samples=report_samples,
        )
    print_summary(summary, directory, console)
    top = _rows((directory / "top.csv").read().decode("utf-8"))
    return Result(directory, summary.reason, summary.metrics, top, summary.columns)


@contextmanager
def _ray_as_it_was() -> Iterator[None]:
    was_there = ray.is_initialized()
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    try:
        yield
    finally:
        if not was_there:
            ray.shutdown()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def _rows(table: str) -> list[dict[str, Any]]:
    """The rows of top.csv, what is a number there as one."""
    texts = ("key", "sequence", "source")
    return [
        {name: value if name in texts else float(value) for name, value in row.items()}
        for row in csv.DictReader(io.StringIO(table, newline=""))
    ]
