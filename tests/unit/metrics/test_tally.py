"""Metrics: what a tally counts, and that the docs describe every field and metric."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from sequence_tutor.distributed.metrics.prometheus_series import (
    BULK_SERIES,
    NOT_EXPORTED,
    RUN_SERIES,
)
from sequence_tutor.distributed.metrics.tally import Metrics, Tally
from sequence_tutor.distributed.scoring.scorer import count_durations, count_statuses
from sequence_tutor.distributed.types import DURATIONS, SCORE_SECONDS, LearnerReport, ScoreReport
from sequence_tutor.rewards.base import Status

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
FIELDS = {f.name for f in fields(Metrics)}
SERIES = {s.exported_name for s in (*RUN_SERIES, *BULK_SERIES)}
# a row of the tables: a field or none, a metric or none, and four more columns
ROW = re.compile(
    r"^\| (?:`(?P<field>\w+)`)? ?\| (?:`(?P<metric>ray_\w+)(?:\{(?P<label>[^`]*)\})?`(?: \*)?)? ?"
    r"\|[^|]*\|[^|]*\|[^|]*\|[^|]*\|$",
    re.MULTILINE,
)


def documented() -> list[re.Match[str]]:
    return list(ROW.finditer(DOCUMENT.read_text(encoding="utf-8")))


def report(**changes: object) -> ScoreReport:
    plain = {"rows": 4, "valid": 2, "failed": 1, "repeated": 0, "rewarded": 2, "reward_sum": 1.0}
    return ScoreReport(**plain | {"seconds": 1.0} | changes)  # type: ignore[arg-type]


def test_the_page_names_every_field_and_metric_once():
    rows = documented()
    named = [row["field"] for row in rows if row["field"]]
    assert sorted(named) == sorted(FIELDS)
    assert {row["metric"] for row in rows if row["metric"]} == SERIES


def test_the_page_gives_the_metric_of_each_field():
    exported = {
        field: (series.exported_name, f'{series.label}="{label}"' if label else None)
        for series in RUN_SERIES
        for label, field in series.fields.items()
    }
    assert exported.keys() == FIELDS - set(NOT_EXPORTED)
    for row in documented():
        if row["field"]:
            assert (row["metric"], row["label"]) == exported.get(row["field"], (None, None))


def test_the_page_gives_the_labels_of_each_metric():
    labels = {s.exported_name: s.label for s in (*RUN_SERIES, *BULK_SERIES)}
    for row in documented():
        if row["metric"]:
            assert (row["label"] or "").split("=")[0] == labels[row["metric"]], row["metric"]


def test_control_a_missing_row_is_found():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert ROW.search("| `loss` | `ray_x` | s | a | b | c |")
    assert "| `loss` |" in text and len(documented()) > len(FIELDS)
    without = ROW.findall(text.replace("| `loss` |", "| loss |"))
    assert len(without) == len(documented()) - 1


def test_durations_count_in_the_bucket_that_bounds_them():
    counts = count_durations([0.0, 0.001, 0.002, 1.0, 1.5, 5000.0])
    assert counts.sum() == 6 and len(counts) == DURATIONS
    upto = dict(zip((*SCORE_SECONDS, np.inf), counts.cumsum(), strict=True))
    assert (upto[0.001], upto[0.003], upto[1.0], upto[3.0], upto[1000.0]) == (2, 3, 4, 5, 5)
    assert not count_durations([]).any() and not count_statuses([]).any()


def test_a_tick_sums_the_reports_since_the_start():
    tally = Tally()
    durations = (1,) * DURATIONS
    tally.add_scored(report(statuses=(2, 1, 1, 0, 0), durations=durations))
    tally.add_scored(report(statuses=(1, 0, 0, 3, 2), durations=durations))
    tally.tick()
    tally.add_learned(LearnerReport(2, 2, 32, 3, 1.0, 1.0, 1.0, 0.0, 0.1, 0.1, 0.1))
    tally.add_learned(LearnerReport(2, 4, 32, 1, 1.0, 1.0, 1.0, 0.0, 0.1, 0.1, 0.1))
    tick = tally.tick()
    found = [getattr(tick, f"scores_{status.name.lower()}") for status in Status]
    assert found == [3, 1, 1, 3, 2]
    assert tick.lost_samples == 4
    assert tally.durations.tolist() == [2] * DURATIONS


def test_counts_continue_from_a_checkpoint():
    tally = Tally()
    tally.add_scored(report(statuses=(2, 1, 1, 0, 0)))
    resumed = Tally()
    resumed.restore(tally.counters(), 5.0)
    resumed.add_scored(report(statuses=(1, 0, 0, 0, 0)))
    assert (resumed.tick().scores_ok, resumed.tick().scores_timeout) == (3, 1)


def test_a_checkpoint_without_a_counter_raises():
    whole = Tally().counters() | {"scores_used": 7}
    tally = Tally()
    tally.restore(whole, 5.0)
    assert (tally.tick().scores_ok, tally.scores_used) == (0, 7)
    for name in ("scores_ok", "updates"):
        with pytest.raises(KeyError, match=name):
            tally.restore({key: n for key, n in whole.items() if key != name}, 5.0)
