"""The progress of a run as it is shown."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import pytest
from rich.console import Console

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.metrics.display import Display, Progress, Speed
from sequence_tutor.distributed.metrics.tally import Metrics
from sequence_tutor.distributed.report.evaluation import print_table
from sequence_tutor.distributed.report.summary import RunSummary, print_summary


@pytest.fixture
def run(make_run: Callable[..., RunConfig]) -> RunConfig:
    return make_run()


def test_the_progress_line_names_the_bottleneck(run: RunConfig, quiet: Console):
    with Display(quiet) as display:
        progress = Progress(run, display)
        progress.show(Metrics(scoring_busy=0.97, learning_busy=0.4))
        progress.show(Metrics(learning_busy=0.9))  # too soon for another line
    text = quiet.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("\n") == 1 and text.endswith("bottleneck scoring, 97% busy\n")


def test_the_terminal_table_names_the_bottleneck(run: RunConfig):
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Display(console) as display:
        Progress(run, display).show(Metrics(replay_balance=-1.0, scoring_busy=0.3))
        display._live.refresh()  # type: ignore[union-attr]
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "bottleneck" in text and "replay ratio, the learner waits" in text


def test_unknown_metrics_are_dashes(run: RunConfig, quiet: Console):
    with Display(quiet) as display:
        Progress(run, display).show(Metrics(elapsed_s=1.0))
    text = quiet.file.getvalue()  # type: ignore[attr-defined]
    assert "reward - (top 10 -)  valid -  KL - nats  c -  - sequences/s" in text
    assert "nan" not in text and "0.0%" not in text


def test_the_speed_is_that_of_the_window():
    speed = Speed()
    for second in range(20):  # the run starts
        speed.add(second, 0)
        assert math.isnan(speed.per_s)
    for second in range(20, 100):  # a batch of 64 every eight seconds: most ticks have none
        speed.add(second, 64 * ((second - 12) // 8))
        if second > 60:
            assert speed.per_s == pytest.approx(8, abs=2.2), second
    for second in range(100, 200):  # and then nothing
        speed.add(second, 640)
    assert speed.per_s == 0


def test_the_speed_of_a_resumed_run_ignores_earlier_sequences():
    speed = Speed()
    speed.add(100.0, 5000)
    assert math.isnan(speed.per_s)
    speed.add(101.0, 5010)
    assert speed.per_s == 10


def test_the_summary_leaves_out_unknown_metrics():
    for known in (True, False):
        metrics = Metrics(reward_top10=0.5, kl_to_prior=2.0) if known else Metrics()
        output = io.StringIO()
        summary = RunSummary("budget used", metrics, {}, [], {})
        print_summary(summary, "runs/x", Console(file=output, width=200))
        assert "nan" not in output.getvalue() and "┃" not in output.getvalue()
        assert ("KL to the prior 2.0 nats" in output.getvalue()) == known


def test_a_table_has_no_nan_and_needs_columns():
    output = io.StringIO()
    print_table({}, Console(file=output))
    assert output.getvalue() == ""
    print_table({"a": {"valid": 0.25, "mean_qed": math.nan}}, Console(file=output))
    assert "nan" not in output.getvalue() and "0.25" in output.getvalue()
