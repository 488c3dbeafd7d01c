"""The Python functions that make a run as the command does, with the same run directory."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from sequence_tutor.distributed.commands.optimize import Options
from sequence_tutor.distributed.commands.optimize import optimize_rounds as rounds_of_run
from sequence_tutor.distributed.commands.retries import optimize_with_retries
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import load_config, parse_config
from sequence_tutor.distributed.metrics.tally import Metrics
from sequence_tutor.distributed.report.evaluation import Columns
from sequence_tutor.distributed.report.summary import print_summary, top_csv
from sequence_tutor.distributed.run_directory.warm_start import WarmStart
from sequence_tutor.policies.files.storage import Location, Where

if TYPE_CHECKING:
    from sequence_tutor.distributed.training import Training
    from sequence_tutor.policies.prior import Prior

Config = str | Path | dict[str, Any] | RunConfig
# Variables that this module's Ray sets and that a Ray started later by the caller mustn't see.
_ENVIRONMENT = ("RAY_AUTH_MODE",)


@dataclass(frozen=True)
class Result:
    """A finished run."""

    directory: Location
    """The run directory."""
    reason: str
    """Why the run ended, such as "budget used"."""
    metrics: Metrics
    """The run's last metrics."""
    top: list[dict[str, Any]]
    """The best distinct sequences, best first, each with its `key`, `sequence`, `reward`, the value
    of each component (`raw.NAME`), `version` and `source`."""
    comparison: Columns
    """Numbers by column of the table that compares prior and policy."""

    @property
    def policy_path(self) -> Location:
        """The directory of the tuned policy, usable wherever a prior is."""
        return self.directory / "policy"

    def policy(self) -> Prior:
        """The tuned policy: `policy().sample(100)`."""
        from sequence_tutor.policies.prior import load_prior

        return load_prior(self.policy_path)


@dataclass(frozen=True)
class Round:
    """A run after one of its rounds; methods read the run's present state."""

    metrics: Metrics
    """Metrics of the round."""
    _training: Training

    def policy(self) -> Prior:
        """The newest policy: `policy().sample(10)`."""
        return self._training.policy()

    def top(self, n: int = 10) -> list[dict[str, Any]]:
        """The up to n best distinct sequences so far, as `Result.top` has them."""
        return _rows(top_csv(self._training.replay.top(n)))


def optimize(
    config: Config,
    out: Where,
    *,
    resume: bool = False,
    warm_start: WarmStart | Where | None = None,
    retries: int = 0,
    retry_failed: bool = False,
    report_samples: int = 0,
    local: bool = False,
    quiet: bool = False,
) -> Result:
    """Tune a policy as `sequence-tutor optimize` does, and leave the same run directory in `out`.

    config: a TOML file, its content as nested dicts, or a RunConfig. A `python` component of a dict
    takes a function itself. The others are the command's options; quiet: print nothing on the way.
    Works in any thread; in the main thread Ctrl-C stops the run cleanly. If this function starts
    Ray, it ends it as well; with `local` Ray isn't imported.

    Raises ConfigError and other ValueErrors for a mistake of the caller, RunError if the run can't
    go on, OSError if storage fails.
    """
    run, directory = _parsed(config), Location(out)
    console = Console(quiet=quiet, markup=False)
    options = Options(resume, warm_start, retry_failed, report_samples, local)
    with nullcontext() if local else _ray_as_it_was():
        summary = optimize_with_retries(run, directory, console, options, retries)
    print_summary(summary, directory, console)
    top = _rows((directory / "top.csv").read().decode("utf-8"))
    return Result(directory, summary.reason, summary.metrics, top, summary.columns)


def optimize_rounds(
    config: Config,
    out: Where,
    *,
    resume: bool = False,
    warm_start: WarmStart | Where | None = None,
    retry_failed: bool = False,
    quiet: bool = True,
) -> Iterator[Round]:
    """Tune a policy in this process, without Ray, and yield after each round.

    The arguments, the run directory and the errors are those of `optimize` with `local`. Between
    rounds the caller may inspect the run. After a loop that is left early, `resume` continues the
    run.
    """
    options = Options(resume, warm_start, retry_failed, local=True)
    console = Console(quiet=quiet, markup=False)
    with closing(rounds_of_run(_parsed(config), out, console, options)) as rounds:
        for training in rounds:
            yield Round(training.last_metrics, training)


def _parsed(config: Config) -> RunConfig:
    if isinstance(config, dict):
        return parse_config(config)
    return config if isinstance(config, RunConfig) else load_config(config)


@contextmanager
def _ray_as_it_was() -> Iterator[None]:
    import ray

    was_running = ray.is_initialized()
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    try:
        yield
    finally:
        if not was_running:
            ray.shutdown()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def _rows(table: str) -> list[dict[str, Any]]:
    """The rows of top.csv, with numbers as floats."""
    texts = ("key", "sequence", "source")
    return [
        {name: value if name in texts else float(value) for name, value in row.items()}
        for row in csv.DictReader(io.StringIO(table, newline=""))
    ]
