"""The progress of a run as it is shown."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import pytest
from rich.console import Console

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.metrics.display import SHOWN, Best, Display, Progress
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
    assert "speed -  left -  reward - (top 10 -)  best -  valid -  KL - nats  c -  " in text
    assert "nan" not in text and "0.0%" not in text


def test_the_best_sequence_is_shown_as_it_is_written(run: RunConfig):
    """A [ in it is no markup, and a long one is cut."""
    for terminal in (True, False):
        file = io.StringIO()
        console = Console(file=file, force_terminal=terminal, width=300)
        with Display(console) as display:
            Progress(run, display).show(Metrics(), Best("C[bold]C[/x]" + "N" * 90, 0.91234))
            if display._live:
                display._live.refresh()
        assert f"0.912 {('C[bold]C[/x]' + 'N' * 90)[: SHOWN - 3]}..." in file.getvalue(), terminal


def test_the_line_tells_the_speed_and_the_time_left(make_run: Callable[..., RunConfig]):
    console = Console(file=io.StringIO(), width=300)
    display = Display(console)
    progress = Progress(make_run(stop={"scores": 100}), display)
    for second in range(200):  # a score every 20 seconds
        display._last_line = 0.0
        progress.show(Metrics(elapsed_s=float(second), scores_used=second // 20))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    last = text.splitlines()[-1]
    assert "scores 9/100  speed 2." in last and "/min  left 3" in last, last
    assert " 0/s" not in text and "nan" not in text


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
