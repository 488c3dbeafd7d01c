"""Puts a run's metrics on Ray's Prometheus endpoint.

The driver hands over, once a tick, numbers that it has anyway: no sequence waits for this. Ray's
worker sends them to the metrics agent of its node every ten seconds; without an agent they are
dropped. An error here is logged once and ends the export, never the run.
"""

from __future__ import annotations

import logging
import math
import os
import time
import uuid
from collections.abc import Sequence
from urllib.parse import quote

import numpy as np
from ray.util.metrics import Counter, Gauge

from sequence_tutor.distributed.bulk.estimate import Estimate
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.metrics.prometheus_series import (
    BULK_SERIES,
    PREFIX,
    RUN_SERIES,
    Series,
    Values,
    bulk_values,
    run_values,
)
from sequence_tutor.distributed.metrics.tally import Tally

logger = logging.getLogger(__name__)

# Least seconds between two exports of the progress of a file, which is reported more often.
EXPORT_EVERY_S = 1.0
_VISIBLE = "".join(map(chr, range(ord(" "), 127)))


class Exporter:
    """Metrics with the labels `run`, the name of a run, and `run_id`, new for each run of that name
    and after each resume."""

    def __init__(self, series: Sequence[Series], run: str, run_id: str) -> None:
        self._series = {s.name: s for s in series}
        self._labels = {"run": _in_ascii(run), "run_id": run_id}
        self._metrics: dict[str, Counter | Gauge] = {}
        self._totals: dict[tuple[str, str], float] = {}
        self._broken = False

    def put(self, values: Values) -> None:
        """Hand over the newest values; a NaN, which isn't known yet, is left out. Doesn't raise."""
        if self._broken:
            return
        try:
            for (name, label), value in values.items():
                if not math.isnan(value):
                    self._put(self._series[name], label, float(value))
        except Exception as error:
            self._broken = True
            logger.warning("metrics are no longer exported: %r", error)

    def _put(self, series: Series, label: str, value: float) -> None:
        labels = self._labels | ({series.label: _in_ascii(label)} if series.label else {})
        metric = self._metrics.get(series.name)
        if metric is None:
            make = Gauge if series.kind == "gauge" else Counter
            metric = make(PREFIX + series.name, series.help, tuple(labels))
            self._metrics[series.name] = metric
        if series.kind == "gauge":
            metric.set(value, labels)
            return
        key = series.name, label
        before = self._totals.get(key)
        if series.kind == "sum":
            value += before or 0.0
        self._totals[key] = value
        if before is None:
            # `inc` refuses 0; without a 0 before it, Prometheus misses a counter's first event
            metric._record(value, labels)
        elif value > before:  # it is less where a restarted process counts from 0
            metric.inc(value - before, labels)


def _in_ascii(name: str) -> str:
    """A name as the value of a label, for which Ray takes only ASCII: other characters, and
    invisible ones, are percent-encoded as in a URI."""
    return quote(os.fsencode(name), safe=_VISIBLE) or "-"


class RunExporter:
    """Exports the ticks of a run."""

    def __init__(self, run: RunConfig, name: str, run_id: str) -> None:
        self._run, self._exporter = run, Exporter(RUN_SERIES, name, run_id)

    def export(self, tally: Tally) -> None:
        """Export the last tick."""
        self._exporter.put(run_values(self._run, tally, time.time()))


class BulkExporter:
    """Exports the progress of scoring a file."""

    def __init__(self, name: str) -> None:
        self._exporter = Exporter(BULK_SERIES, name, uuid.uuid4().hex[:12])
        self._exported = -math.inf

    def export(self, estimate: Estimate, counts: np.ndarray) -> None:
        """Export at most once in EXPORT_EVERY_S, and when the file is done. counts: see
        `bulk_values`."""
        done = estimate.total is not None and estimate.done >= estimate.total
        if done or time.monotonic() - self._exported >= EXPORT_EVERY_S:
            self._exported = time.monotonic()
            self._exporter.put(bulk_values(estimate, counts))
