"""Forwards the metrics of a run to MLflow and to Weights & Biases, where its config names them.

A thread gives them a tick every EVERY_S and the last one, so that a slow or lost server doesn't
hold up the run. What they don't take is said once and then missing there; RUN/metrics.jsonl has all
of it. RUN/trackers.json has the ids under which a resumed run goes on.
"""

from __future__ import annotations

import json
import math
import os
import queue
import re
import threading
import time
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console

from sequence_tutor.distributed.config import TrackingConfig
from sequence_tutor.distributed.metrics.numbers import numbers
from sequence_tutor.distributed.metrics.tally import Metrics
from sequence_tutor.policies.files.storage import Location

# Seconds between two ticks that are forwarded, and seconds that the last one may take.
EVERY_S, PATIENCE_S = 10.0, 20.0
# File in the run directory with the ids of the run at the trackers.
IDS = "trackers.json"
# Experiment of MLflow, unless MLFLOW_EXPERIMENT_NAME says another.
EXPERIMENT = "sequence-tutor"
# Limits of MLflow: parameters in a request, and characters of one.
PARAMS, CHARACTERS = 100, 6000


class Tracker(Protocol):
    """A run at a service that keeps numbers. id: its name there, to go on with it."""

    id: str

    def log(self, values: dict[str, float], tick: int, updates: int) -> None:
        """Send the numbers of a tick."""

    def end(self, failed: bool) -> None:
        """Say that the run is over."""


class MlflowTracker:
    """A run of MLflow; its steps are updates, as TensorBoard's."""

    def __init__(self, uri: str, name: str, config: dict[str, Any], id: str | None) -> None:
        # by default a server that isn't there is asked for four minutes
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
        from mlflow import MlflowClient
        from mlflow.entities import Param
        from mlflow.exceptions import MlflowException

        self._client = MlflowClient(tracking_uri=uri)
        if id is not None:
            try:
                self._client.update_run(id, status="RUNNING")
                self.id = id
                return
            except MlflowException:  # it was deleted there
                pass
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        found = self._client.get_experiment_by_name(experiment)
        place = self._client.create_experiment(experiment) if found is None else found.experiment_id
        self.id = self._client.create_run(place, run_name=name).info.run_id
        params = [Param(_allowed(key), str(value)[:CHARACTERS]) for key, value in config.items()]
        for first in range(0, len(params), PARAMS):
            self._client.log_batch(self.id, params=params[first : first + PARAMS])

    def log(self, values: dict[str, float], tick: int, updates: int) -> None:
        """Send the numbers of a tick."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(_allowed(name), value, now, updates) for name, value in values.items()]
        self._client.log_batch(self.id, metrics=metrics)

    def end(self, failed: bool) -> None:
        """Say that the run is over."""
        self._client.set_terminated(self.id, "FAILED" if failed else "FINISHED")


class WandbTracker:
    """A run of Weights & Biases; its steps are ticks, and `updates` is one of the numbers."""

    def __init__(self, project: str, name: str, config: dict[str, Any], id: str | None) -> None:
        import wandb

        entity, _, project = project.rpartition("/")
        self._run = wandb.init(
            project=project,
            entity=entity or None,
            name=name,
            config=config,
            id=id,
            resume="allow",
            allow_val_change=True,  # a resumed run may have another [stop]
            reinit="create_new",  # beside another run of this process, such as one of the caller's
            settings=wandb.Settings(console="off"),  # RUN/logs has that
        )
        self.id = self._run.id

    def log(self, values: dict[str, float], tick: int, updates: int) -> None:
        """Send the numbers of a tick."""
        self._run.log(values, step=tick)

    def end(self, failed: bool) -> None:
        """Say that the run is over."""
        self._run.finish(exit_code=int(failed))


# Key of [tracking]: what it is, its module, and how it begins.
_KINDS: dict[str, tuple[str, str, Any]] = {
    "mlflow": ("MLflow", "mlflow", MlflowTracker),
    "wandb": ("Weights & Biases", "wandb", WandbTracker),
}


def check_trackers(tracking: TrackingConfig) -> None:
    """Raises ValueError where the package of a tracker isn't installed."""
    for key, (what, module, _) in _KINDS.items():
        if getattr(tracking, key) is not None and find_spec(module) is None:
            raise ValueError(_lacks(key, what))


class Trackers:
    """The trackers of a run; a context manager for its time. config: keys with their values.

    Raises ValueError, with one sentence, where a tracker doesn't take the run.
    """

    def __init__(
        self,
        tracking: TrackingConfig,
        config: dict[str, Any],
        out: Location,
        resume: bool,
        console: Console,
    ) -> None:
        self._out, self._console = out, console
        before = _ids(out) if resume else {}
        shown = {k: _without_secrets(v) for k, v in config.items() if v is not None}
        self._trackers: dict[str, Tracker] = {}
        for key in _KINDS:
            if (where := getattr(tracking, key)) is not None:
                self._trackers[key] = _begin(key, where, _name(out), shown, before.get(key))
        self._failed: set[str] = set()
        self._next = -math.inf
        self._ticks: queue.Queue[Metrics | None] = queue.Queue(maxsize=1)
        self._thread = threading.Thread(target=self._forward, daemon=True, name="trackers")

    def save_ids(self) -> None:
        """Write the ids of the run into its directory."""
        if self._trackers:
            ids = {key: tracker.id for key, tracker in self._trackers.items()}
            (self._out / IDS).write(json.dumps(ids))

    def write(self, metrics: Metrics, last: bool = False) -> None:
        """Forward a tick if one is due, or the last one."""
        if not self._trackers or not (last or time.monotonic() >= self._next):
            return
        self._next = time.monotonic() + EVERY_S
        self._put(metrics, PATIENCE_S if last else 0.0)

    def __enter__(self) -> Trackers:
        if self._trackers:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._trackers:
            return
        if self._put(None, PATIENCE_S):
            self._thread.join(PATIENCE_S)
        if self._thread.is_alive():
            self._say(f"the last metrics aren't at {' and '.join(self._trackers)} yet")
            return
        left = kind is not None and issubclass(kind, GeneratorExit)
        for key, tracker in self._trackers.items():
            try:
                tracker.end(failed=kind is not None and not left)
            except Exception as failure:
                self._say(f"{_KINDS[key][0]} doesn't know that the run is over: {_first(failure)}")

    def _put(self, tick: Metrics | None, patience_s: float) -> bool:
        """Hand a tick, or the end, to the thread. Returns whether it took it in time."""
        try:
            self._ticks.put(tick, block=patience_s > 0, timeout=patience_s)
        except queue.Full:
            return False
        return True

    def _forward(self) -> None:
        while (tick := self._ticks.get()) is not None:
            values = numbers(tick)
            for key, tracker in self._trackers.items():
                try:
                    tracker.log(values, tick.iteration, tick.updates)
                except Exception as error:
                    if key not in self._failed:
                        self._failed.add(key)
                        self._say(f"{_KINDS[key][0]} doesn't take the metrics: {_first(error)}")

    def _say(self, text: str) -> None:
        self._console.print(f"warning: {text}", markup=False, highlight=False, soft_wrap=True)


def _begin(key: str, where: str, name: str, config: dict[str, Any], id: str | None) -> Tracker:
    what, _, kind = _KINDS[key]
    try:
        tracker: Tracker = kind(where, name, config, id)
    except ImportError as error:  # what it needs for a data base, for example
        raise ValueError(f"{_lacks(key, what)} ({error})") from error
    except Exception as error:
        raise ValueError(f"tracking.{key}: {what} doesn't take the run: {_first(error)}") from error
    return tracker


def _lacks(key: str, what: str) -> str:
    return f"tracking.{key} needs {what}: pip install 'sequence-tutor[{key}]'"


def _ids(out: Location) -> dict[str, str]:
    file = out / IDS
    ids: dict[str, str] = json.loads(file.read()) if file.is_file() else {}
    return ids


def _name(out: Location) -> str:
    """The name of a run directory; of a stage's with that of the run."""
    parts = str(out).partition("?")[0].rstrip("/").split("/")
    return "/".join(parts[-2:] if re.fullmatch(r"stage-\d+", parts[-1]) else parts[-1:])


def _allowed(name: str) -> str:
    """A name that MLflow takes: component.0 for component[0]."""
    return re.sub(r"[^\w./: -]", "_", re.sub(r"\[(\d+)\]", r".\1", name))


def _without_secrets(value: Any) -> Any:
    """A value without the keys that a URI may have."""
    return re.sub(r"://[^/@\s]*@", "://", value) if isinstance(value, str) else value


def _first(error: BaseException) -> str:
    """The first line of an error without secrets, or its type."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return str(_without_secrets(line)) or type(error).__name__
