"""After its budget is used a run makes updates until the replay ratio is reached."""

from __future__ import annotations

import io
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from rich.console import Console

from sequence_tutor.distributed.algorithm import SequenceTutor
from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import load_config
from sequence_tutor.distributed.metrics.tally import Tally
from sequence_tutor.distributed.replay.rate import ReplayRatio
from sequence_tutor.distributed.report.nothing_learned import why_nothing_was_learned
from sequence_tutor.distributed.report.summary import print_summary
from sequence_tutor.distributed.run_directory import checkpoint
from sequence_tutor.policies.prior import load_prior

# All scores fit in one batch of the actor: scoring ends before the learner has started.
SCORES, RATIO, MIN_ROWS, BATCH = 250, 4.0, 16, 16


@pytest.fixture
def fast(make_run: Callable[..., RunConfig]) -> Callable[..., RunConfig]:
    """An asynchronous run whose reward takes no time; keyword arguments change it."""

    def make(**changes: dict) -> RunConfig:
        tables = {
            "replay": {"ratio": RATIO, "min_rows": MIN_ROWS, "shards": 1},
            "stop": {"scores": SCORES},
            "actors": {"batch": 320},
        }
        return make_run(mode="asynchronous", **tables | changes)

    return make


def check_ratio(updates: int, rows: int, run: RunConfig) -> None:
    """The updates match the replay ratio, except for the last rows."""
    earned = run.replay.ratio * (rows - run.replay.min_rows)
    assert updates * BATCH == pytest.approx(earned, abs=3 * BATCH)
    assert updates > 40


class StopsLearning(io.StringIO):
    """Sends Ctrl-C to this process once a run says that it learns on."""

    def write(self, text: str) -> int:
        if "learning on" in text:
            os.kill(os.getpid(), signal.SIGINT)
        return super().write(text)


def test_a_run_learns_up_to_the_replay_ratio_unless_it_is_stopped_before(
    local_ray: None, fast: Callable[..., RunConfig], tmp_path: Path, quiet: Console
):
    ratio, out = 40.0, tmp_path / "run"
    run = fast(replay={"ratio": ratio, "min_rows": MIN_ROWS, "shards": 1})
    stopped = optimize(run, out, Console(file=StopsLearning(), width=200))
    assert stopped.reason == "stopped on request"
    assert stopped.metrics.updates * BATCH < 0.5 * ratio * SCORES

    # a run killed before its first checkpoint still has to learn
    shutil.rmtree(out / "checkpoints")
    summary = optimize(run, out, quiet, Options(resume=True))
    text = quiet.file.getvalue()  # type: ignore[attr-defined]
    metrics = summary.metrics
    assert metrics.scores_used == SCORES and summary.reason == "budget used"
    check_ratio(metrics.updates, SCORES, run)
    assert len(checkpoint.complete(out / "checkpoints")) >= 1
    assert "learning on to the replay ratio" in text
    assert not any("the policy is the prior" in remark for remark in summary.shown)


def test_a_run_without_updates_shows_why(
    fast: Callable[..., RunConfig], tmp_path: Path, quiet: Console
):
    run = fast(stop={"scores": 12}, replay={"min_rows": 640, "shards": 1})
    summary = optimize(run, tmp_path / "run", quiet, Options(local=True))
    assert (summary.metrics.updates, summary.metrics.scores_used) == (0, 12)
    print_summary(summary, tmp_path / "run", quiet)
    rows = summary.metrics.replay_rows
    text = quiet.file.getvalue()  # type: ignore[attr-defined]
    assert f"the policy is the prior: {rows} rows, replay.min_rows = 640" in text
    assert "learning on" not in text


def test_an_algorithm_is_done_and_saved_at_the_replay_ratio(
    build: Callable[[RunConfig, Path], AbstractContextManager[SequenceTutor]],
    fast: Callable[..., RunConfig],
    tmp_path: Path,
):
    run, first = fast(), fast(stop={"scores": SCORES, "updates": 3})
    with build(first, tmp_path) as algorithm:
        while not (result := algorithm.train())["done"]:
            assert not (tmp_path / "policy").exists()
        assert result["tutor"]["updates"] == 3 == load_prior(tmp_path).card["updates"]
        assert load_config(tmp_path / "config.toml") == first
        algorithm.run_config = run
        while not (result := algorithm.train())["done"]:
            pass
        assert algorithm.out_of_budget() and algorithm.updates_owed() == 0
        check_ratio(result["tutor"]["updates"], algorithm.tally.inserted, run)
        check_ratio(result["tutor"]["updates"], result["tutor"]["replay_rows"], run)
        assert algorithm.learning.updates == 0


def test_owed_updates_count_whole_batches():
    rate = ReplayRatio(2.0, min_rows=10, sample_rows=32, insert_rows=16)
    assert rate.owed(9, 0, 16) == rate.owed(10, 0, 16) == 0
    assert rate.owed(110, 0, 16) == 12  # 200 samples, 12.5 batches
    assert rate.owed(110, 192, 16) == 0 == rate.owed(110, 300, 16)
    assert rate.owed(114, 192, 16) == 1


def test_reasons_for_no_update(make_run: Callable[..., RunConfig]):
    def why(rows: int, trainable: int, updates: int = 0, **changes: dict) -> str:
        run = make_run(mode="asynchronous", **changes)
        return why_nothing_was_learned(run, Tally(inserted=rows, updates=updates), trainable)

    assert "5 rows, replay.min_rows = 16" in why(5, 5)
    assert "none of 90 rows has a reward" in why(90, 0)
    assert "20 rows earn 8 samples" in why(20, 20)
    assert why(90, 90) == "the policy is the prior: the run ended before the first update"
    assert "stop.seconds = 1e-09" in why(90, 90, stop={"scores": 100, "seconds": 1e-9})
    assert "has a reward" in why(0, 0, actors={"count": 0}, stop={"updates": 3})
    assert why(90, 90, updates=1) == ""
