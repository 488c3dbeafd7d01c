"""Warnings about a reward that fails."""

from __future__ import annotations

from sequence_tutor.distributed.metrics.failure_watch import SHOWN, WINDOW, FailureWatch
from sequence_tutor.distributed.types import ScoreReport


def report(*statuses: int, error: str = "") -> ScoreReport:
    """A report of new scores: ok, invalid, timeout, crashed, failed."""
    rows = sum(statuses)
    return ScoreReport(rows, 0, 0, 0, 0, 0.0, 0.1, error=error, statuses=statuses)


def warnings_of(*reports: ScoreReport) -> list[str]:
    watch = FailureWatch()
    for one in reports:
        watch.add(one)
    return watch.take_warnings()


def test_more_failures_than_scores_warn_once():
    many = report(3, 0, 4, 1, 0, error="slow [bold]")
    [text] = warnings_of(*[many] * (3 * WINDOW // 8))
    assert text.startswith("the reward failed for 62% of the latest sequences; most often it took")
    assert "reward.timeout_s" in text and text.endswith("the last error: slow [bold]")
    half = report(4, 0, 4, 0, 0)
    assert warnings_of(*[half] * WINDOW) == []


def test_it_warns_again_only_when_it_had_ended():
    many, few, some = report(0, 0, 0, 8, 0), report(8, 0, 0, 0, 0), report(9, 0, 0, 7, 0)
    window = WINDOW // 8
    assert len(warnings_of(*[many] * window, *[some] * window, *[many] * window)) == 1
    assert len(warnings_of(*[many] * window, *[few] * window, *[many] * window)) == 2


def test_the_most_frequent_kind_is_named():
    [text] = warnings_of(*[report(0, 0, 1, 2, 5)] * WINDOW)
    assert "raised an error" in text
    [text] = warnings_of(*[report(0, 0, 1, 5, 2)] * WINDOW)
    assert "reward.memory_mb" in text


def test_invalid_sequences_are_no_failures():
    assert warnings_of(*[report(1, 7, 0, 0, 0)] * WINDOW) == []
    assert warnings_of(*[report(0, 8, 0, 0, 0)] * WINDOW) == []
    assert len(warnings_of(*[report(0, 7, 0, 0, 1)] * WINDOW)) == 1


def test_a_few_failures_do_not_warn_and_a_long_error_is_cut():
    assert warnings_of(report(0, 0, 0, 0, WINDOW - 1)) == []
    [text] = warnings_of(report(0, 0, 0, 0, WINDOW, error="x" * 1000))
    assert len(text) < 200 + SHOWN
