"""What is shown while a run goes on."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.metrics import Metrics
from sequence_tutor.distributed.progress import Display, Progress


@pytest.fixture
def run(make_run: Callable[..., RunConfig]) -> RunConfig:
    return make_run()


def test_the_line_says_what_holds_the_run_up(run: RunConfig, quiet: Console):
    with Display(quiet) as display:
        progress = Progress(run, display)
        progress.show(Metrics(scoring_busy=0.97, learning_busy=0.4))
        progress.show(Metrics(learning_busy=0.9))  # too soon for another line
    text = quiet.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("\n") == 1 and text.endswith("bottleneck scoring, 97% busy\n")


def test_the_table_on_a_terminal_says_it_too(run: RunConfig):
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Display(console) as display:
        Progress(run, display).show(Metrics(replay_balance=-1.0, scoring_busy=0.3))
        display._live.refresh()  # type: ignore[union-attr]
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "bottleneck" in text and "replay ratio, the learner waits" in text
