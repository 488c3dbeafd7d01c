"""Metrics on Ray's Prometheus endpoint, read by HTTP; and a Ray without the endpoint."""

from __future__ import annotations

import json
import logging
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from records import rows_on_record

from sequence_tutor.distributed.bulk.estimate import Estimate
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import to_toml
from sequence_tutor.distributed.metrics.prometheus import Exporter
from sequence_tutor.distributed.metrics.prometheus_series import (
    BULK_SERIES,
    BY_SOURCE,
    NOT_EXPORTED,
    RUN_SERIES,
    Series,
    bulk_values,
    run_values,
)
from sequence_tutor.distributed.metrics.sources import SourceCounts
from sequence_tutor.distributed.metrics.tally import Metrics, Tally
from sequence_tutor.distributed.types import DURATIONS
from sequence_tutor.rewards.base import Status

DEADLINE_S = 300.0
# Values by name and labels.
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
# A run whose driver writes a file when it is done, and stays until its standard input closes.
RUN = """
import sys
from pathlib import Path
import ray
from rich.console import Console
from sequence_tutor.distributed.config_file import load_config
from sequence_tutor.distributed.commands.optimize import optimize
config, out, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
ray.init(address="local", num_cpus=8, include_dashboard=False, log_to_driver=False,
         logging_level="ERROR", _metrics_export_port=port,
         _system_config={"metrics_report_interval_ms": 1000})
optimize(load_config(config), out, Console(quiet=True))
(out / "done").touch()
sys.stdin.read()
"""
# Ray without an agent and an endpoint: exports must print nothing.
NO_AGENT = """
import time
import ray
from sequence_tutor.distributed.metrics.prometheus import Exporter
from sequence_tutor.distributed.metrics.prometheus_series import Series
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False,
         logging_level="ERROR", _system_config={"enable_metrics_collection": False})
exporter = Exporter([Series("a", "counter", "a"), Series("b", "gauge", "b", "c")], "x", "y")
for i in range(1000):
    exporter.put({("a", ""): i, ("b", "c"): i})
print("put")
"""


def values_of(**changes: object) -> dict[tuple[str, str], float]:
    tally = Tally(last=Metrics(**changes))  # type: ignore[arg-type]
    return run_values(parsed(), tally, now=5.0)


def parsed() -> RunConfig:
    return RunConfig.model_validate({"reward": {"component": [{"name": "qed"}]}})


def test_every_field_is_exported_or_listed_as_not():
    exported = [name for series in RUN_SERIES for name in series.fields.values()]
    assert len(set(exported)) == len(exported)
    assert {*exported, *NOT_EXPORTED} == {f.name for f in fields(Metrics)}
    assert not {*exported} & {*NOT_EXPORTED}


def test_every_metric_has_a_value():
    seconds = 0.0
    estimate = Estimate(10, 0, clock=lambda: seconds)
    seconds = 2.0
    estimate.add(4)
    bulk = bulk_values(estimate, np.array([4, 0, 0, 0, 0]))
    run = values_of(sources={"policy": SourceCounts()})
    for series, values in ((RUN_SERIES, run), (BULK_SERIES, bulk)):
        assert {name for name, _ in values} == {s.name for s in series}
        for s in series:
            labels = [label for name, label in values if name == s.name]
            assert (labels == [""]) == (s.label == ""), s.name
    assert (bulk["bulk_lines", ""], bulk["bulk_done_lines", "ok"]) == (10, 4)
    assert (bulk["bulk_lines_per_second", ""], bulk["bulk_left_seconds", ""]) == (2, 3)


def test_metrics_have_a_unit_and_a_help_text():
    units = (
        "seconds",
        "bytes",
        "nats",
        "ratio",
        "updates",
        "rows",
        "sequences",
        "scores",
        "lines",
        "reward",
    )
    counts = ("batches", "leases", "samples", "used", "bucket", "calls", "groups")
    plain = ("bottleneck", "budget", "alive", "keys", "target", "mean", "loss", "second", "scorers")
    plain += ("temperature",)  # in units of the reward, as its mean
    for series in (*RUN_SERIES, *BULK_SERIES):
        assert series.name.endswith((*units, *counts, *plain)), series.name
        assert series.help and "_total" not in series.name


def test_exactly_one_stage_is_the_bottleneck():
    values = values_of(scoring_busy=0.9, learning_busy=0.8)
    flags = {label: value for (name, label), value in values.items() if name == "bottleneck"}
    assert flags.pop("scoring") == 1
    assert set(flags) == {"generation", "screening", "learning", "driver", "replay ratio"}
    assert set(flags.values()) == {0}


def test_every_proposer_has_its_counts():
    sources = {"policy": SourceCounts(9, 4, 3, 2), "genetic": SourceCounts(8, 5, 1, 0)}
    values = values_of(sources=sources)
    found = {
        source: [values[name, source] for name in BY_SOURCE.values()]
        for source in ("policy", "genetic")
    }
    assert found == {"policy": [9, 4, 3, 2], "genetic": [8, 5, 1, 0]}
    assert set(BY_SOURCE) == {f.name for f in fields(SourceCounts)}
    assert {s.name for s in RUN_SERIES if s.label == "source"} == set(BY_SOURCE.values())


def test_buckets_are_cumulative():
    tally = Tally(durations=np.arange(DURATIONS))
    values = run_values(parsed(), tally, now=5.0)
    buckets = [v for (name, _), v in values.items() if name == "score_seconds_bucket"]
    assert buckets == np.arange(DURATIONS).cumsum().tolist()
    assert values["score_seconds_bucket", "+Inf"] == sum(range(DURATIONS))
    assert {"0.001", "1", "1000"} <= {label for _, label in values}


def test_an_export_error_is_logged_once(caplog: pytest.LogCaptureFixture):
    exporter = Exporter([Series("known", "gauge", "a gauge")], "run", "id")
    with caplog.at_level(logging.WARNING):
        exporter.put({("unknown", ""): 1.0})
        exporter.put({("unknown", ""): 2.0})
    (said,) = [record.message for record in caplog.records]
    assert said == "metrics are no longer exported: KeyError('unknown')"


@dataclass(frozen=True)
class Endpoint:
    """The scraped samples by name and labels, and the run's last line of metrics."""

    samples: Samples
    types: dict[str, str]
    last: dict[str, Any]
    out: Path

    def of(self, name: str, **labels: str) -> float:
        found = [
            value
            for (sample, those), value in self.samples.items()
            if sample == name and labels.items() <= dict(those).items()
        ]
        assert len(found) == 1, (name, labels, found)
        return found[0]


def last_line(out: Path) -> dict[str, Any]:
    return json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])


def last_tick_seen(out: Path, samples: Samples) -> bool:
    """Whether the run is done and its last tick is among the samples."""
    if not (out / "done").exists():
        return False
    name = "ray_sequence_tutor_elapsed_seconds"
    return last_line(out)["elapsed_s"] in [v for (n, _), v in samples.items() if n == name]


def scraped(port: int) -> tuple[Samples, dict[str, str]]:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        families = list(text_string_to_metric_families(response.read().decode()))
    samples = {(s.name, frozenset(s.labels.items())): s.value for f in families for s in f.samples}
    return samples, {s.name: f.type for f in families for s in f.samples}


@pytest.fixture(scope="module")
def endpoint(
    make_run: Callable[..., RunConfig],
    plugins: Path,
    tmp_path_factory: pytest.TempPathFactory,
    free_port: Callable[[], int],
) -> Iterator[Endpoint]:
    """A run with failures, and its endpoint after its end."""
    run = make_run(
        mode="asynchronous",
        reward={"component": [{"name": "python", "function": "user_rewards:dislikes_nitrogen"}]},
        proposers={"genetic": {"batch": 32}},
        screen={"batch": 32, "start": 64, "children": 16},
        stop={"scores": 150},
        replay={"shards": 1},
    )
    directory = tmp_path_factory.mktemp("exported")
    config, out = directory / "run.toml", directory / "celecoxib"
    config.write_text(to_toml(run))
    port = free_port()
    paths = os.pathsep.join(filter(None, [str(plugins), os.environ.get("PYTHONPATH")]))
    driver = subprocess.Popen(
        [sys.executable, "-c", RUN, str(config), str(out), str(port)],
        stdin=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": paths},
        cwd=directory,
    )
    assert driver.stdin is not None
    samples: Samples = {}
    types: dict[str, str] = {}
    deadline = time.monotonic() + DEADLINE_S
    try:
        # Ray drops a gauge soon after its last value: keep the last one that was scraped
        while not last_tick_seen(out, samples):
            assert driver.poll() is None, "the run ended with an error"
            assert time.monotonic() < deadline, "the last tick never came"
            time.sleep(0.5)
            with suppress(OSError):  # not there yet
                seen, kinds = scraped(port)
                samples |= seen
                types |= kinds
        yield Endpoint(samples, types, last_line(out), out)
    finally:
        driver.stdin.close()
        driver.wait(timeout=60)


@pytest.mark.nightly
def test_the_endpoint_agrees_with_the_last_line(endpoint: Endpoint):
    ticks = [json.loads(line) for line in (endpoint.out / "metrics.jsonl").open()]
    compared = 0
    for series in RUN_SERIES:
        for label, field in series.fields.items():
            labels = {series.label: label} if label else {}
            if endpoint.last[field] is None:
                continue
            expected = endpoint.last[field]
            if series.kind == "sum":
                expected = math.fsum(tick[field] for tick in ticks)
            found = endpoint.of(series.exported_name, run="celecoxib", **labels)
            assert found == pytest.approx(expected, rel=1e-6), (series.name, label)
            compared += 1
    assert compared > 40
    assert endpoint.last["scores_failed"] > 0 and endpoint.last["scores_ok"] > 0


@pytest.mark.nightly
def test_the_counts_of_each_proposer_are_exported(endpoint: Endpoint):
    sources = endpoint.last["sources"]
    assert set(sources) == {"policy", "genetic"} and sources["genetic"]["screened_out"]
    exported = {s.name: s.exported_name for s in RUN_SERIES}
    for source, counts in sources.items():
        for name, series in BY_SOURCE.items():
            assert endpoint.of(exported[series], source=source) == counts[name], (source, name)


@pytest.mark.nightly
def test_metrics_have_their_prometheus_type(endpoint: Endpoint):
    for series in RUN_SERIES:
        kind = "gauge" if series.kind == "gauge" else "counter"
        assert endpoint.types[series.exported_name] == kind, series.name


@pytest.mark.nightly
def test_counts_of_zero_are_exported(endpoint: Endpoint):
    assert endpoint.last["scores_timeout"] == 0
    assert endpoint.of("ray_sequence_tutor_scores_total", status="timeout") == 0
    assert endpoint.of("ray_sequence_tutor_lost_batches_total") == 0


@pytest.mark.nightly
def test_all_scores_are_in_the_histogram(endpoint: Endpoint):
    bucket = "ray_sequence_tutor_score_seconds_bucket_total"
    scores = [f"scores_{s.name.lower()}" for s in Status if s != Status.INVALID]
    total = sum(endpoint.last[name] for name in scores)
    assert endpoint.of(bucket, le="+Inf") == total == 150
    assert endpoint.of(bucket, le="0.001") <= endpoint.of(bucket, le="1") <= total


@pytest.mark.nightly
def test_exported_statuses_are_those_on_record(endpoint: Endpoint):
    record = rows_on_record(endpoint.out / "scores")
    for status in Status:
        name = status.name.lower()
        on_record = np.count_nonzero(record.status == status)
        assert endpoint.of("ray_sequence_tutor_scores_total", status=name) == on_record, name


@pytest.mark.nightly
def test_all_metrics_of_a_start_have_one_run_id(endpoint: Endpoint):
    ids = {dict(labels)["run_id"] for (n, labels) in endpoint.samples if "sequence_tutor" in n}
    assert len(ids) == 1 and len(ids.pop()) == 12


@pytest.mark.nightly
def test_ray_exports_the_metrics_of_the_dashboard(endpoint: Endpoint):
    names = {name for name, _ in endpoint.samples}
    assert {
        "ray_node_cpu_count",
        "ray_node_cpu_utilization",
        "ray_node_mem_total_host",
        "ray_node_mem_used_host",
        "ray_object_store_memory",
        "ray_resources",
    } <= names


@pytest.mark.nightly
def test_without_an_agent_the_export_is_silent(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", NO_AGENT],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=DEADLINE_S,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "put\n", "")
