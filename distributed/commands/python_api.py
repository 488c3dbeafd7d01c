"""The Python functions that make a run as the command does, with the same run directory."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from sequence_tutor.distributed.commands.optimize import Options
from sequence_tutor.distributed.commands.optimize import optimize_rounds as rounds_of_run
from sequence_tutor.distributed.commands.retries import optimize_with_retries
from sequence_tutor.distributed.commands.score_file import score_file
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import load_config, parse_config
from sequence_tutor.distributed.metrics.tally import Metrics
from sequence_tutor.distributed.report.evaluation import Columns
from sequence_tutor.distributed.report.summary import top_csv
from sequence_tutor.distributed.run_directory.fork import Origin, find_origin
from sequence_tutor.distributed.run_directory.warm_start import WarmStart
from sequence_tutor.policies.files.storage import Location, Where

if TYPE_CHECKING:
    from sequence_tutor.distributed.training import Training
    from sequence_tutor.policies.prior import Prior

Config = str | Path | dict[str, Any] | RunConfig
# Variables that this module's Ray sets and that a Ray started later by the caller mustn't see.
_ENVIRONMENT = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")


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

    def __fspath__(self) -> str:
        """The run directory where it is on this machine: a result can be used as its path."""
        return str(self.directory.path)

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
    out: Where | None = None,
    *,
    resume: bool = False,
    warm_start: WarmStart | Where | None = None,
    rescore: int | None = None,
    from_run: Where | None = None,
    at: str | int | None = None,
    retries: int = 0,
    retry_failed: bool = False,
    report_samples: int = 0,
    local: bool = False,
    quiet: bool = False,
) -> Result:
    """Tune a policy as `sequence-tutor optimize` does, and leave the same run directory in `out`,
    by default a new one in runs/.

    config: a TOML file, its content as nested dicts, or a RunConfig. A `python` component of a dict
    takes a function itself. from_run: `--from`. The others are the command's options; quiet: print
    nothing on the way.
    Works in any thread; in the main thread Ctrl-C stops the run cleanly. If this function starts
    Ray, it ends it as well; with `local` Ray isn't imported.

    Raises ConfigError and other ValueErrors for a mistake of the caller, RunError if the run can't
    go on, OSError if storage fails.
    """
    run = _parsed(config)
    fork = _origin(from_run, at, run)
    directory = Location(out or default_directory(config))
    console = Console(quiet=quiet, markup=False, emoji=False)
    options = Options(resume, warm_start, rescore, retry_failed, report_samples, local, fork)
    with nullcontext() if local else _ray_as_it_was():
        summary = optimize_with_retries(run, directory, console, options, retries)
    top = _rows((directory / "top.csv").read().decode("utf-8"))
    return Result(directory, summary.reason, summary.metrics, top, summary.columns)


def optimize_rounds(
    config: Config,
    out: Where,
    *,
    resume: bool = False,
    warm_start: WarmStart | Where | None = None,
    rescore: int | None = None,
    from_run: Where | None = None,
    at: str | int | None = None,
    retry_failed: bool = False,
    quiet: bool = True,
) -> Iterator[Round]:
    """Tune a policy in this process, without Ray, and yield after each round.

    The arguments, the run directory and the errors are those of `optimize` with `local`. Between
    rounds the caller may inspect the run. After a loop that is left early, `resume` continues the
    run.
    """
    run = _parsed(config)
    fork = _origin(from_run, at, run)
    options = Options(resume, warm_start, rescore, retry_failed, local=True, fork=fork)
    console = Console(quiet=quiet, markup=False, emoji=False)
    with closing(rounds_of_run(run, out, console, options)) as rounds:
        for training in rounds:
            yield Round(training.last_metrics, training)


def score(
    config: Config,
    sequences: Iterable[str],
    *,
    local: bool = True,
    quiet: bool = True,
) -> pa.Table:
    """Score sequences with the [reward] of a config, as `sequence-tutor score` does.

    Returns one row per sequence, in their order: `sequence`, `key`, `reward`, `status`, `error`,
    `seconds` and `raw.NAME` of each component; `.to_pandas()` makes a data frame of it. local:
    without Ray, in this process. Raises as `optimize`.
    """
    given = pa.table({"given": pa.array(list(sequences), pa.string())})
    run, console = _parsed(config), Console(quiet=quiet, markup=False, emoji=False)
    with tempfile.TemporaryDirectory() as folder, nullcontext() if local else _ray_as_it_was():
        file, out = Path(folder, "sequences.parquet"), Path(folder, "scored.csv")
        pq.write_table(given, file)
        score_file(run, file, out, "given", False, console, local=local)
        return pq.read_table(out.with_suffix(".parquet"))


def default_directory(config: Config) -> str:
    """A new run directory in runs/, named after the config's file and the time."""
    name = Path(config).stem if isinstance(config, str | Path) else "run"
    return f"runs/{name}-{datetime.now():%Y%m%d-%H%M%S}"


def _parsed(config: Config) -> RunConfig:
    if isinstance(config, dict):
        return parse_config(config)
    return config if isinstance(config, RunConfig) else load_config(config)


def _origin(from_run: Where | None, at: str | int | None, run: RunConfig) -> Origin | None:
    if from_run is None:
        return None
    return find_origin(from_run, None if at is None else str(at), run)


@contextmanager
def _ray_as_it_was() -> Iterator[None]:
    import ray

    from sequence_tutor.distributed.ray_cluster.join import forget_token

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
        if not was_running:
            forget_token()  # the caller's next Ray has another


def _rows(table: str) -> list[dict[str, Any]]:
    """The rows of top.csv, with numbers as floats."""
    texts = ("key", "sequence", "source")
    return [
        {name: value if name in texts else float(value) for name, value in row.items()}
        for row in csv.DictReader(io.StringIO(table, newline=""))
    ]
