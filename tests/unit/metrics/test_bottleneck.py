"""The bottleneck of a run, on made-up ticks."""

from __future__ import annotations

import math
import time

import pytest

from sequence_tutor.distributed.metrics.bottleneck import STAGES, BusyShares, bottleneck
from sequence_tutor.distributed.metrics.tally import Tally
from sequence_tutor.distributed.types import ActorReport, LearnerReport, ScoreReport

BALANCED = 0.1


def shares(**busy: float) -> dict[str, float]:
    return dict.fromkeys(STAGES, 0.1) | busy


@pytest.mark.parametrize("stage", STAGES)
def test_the_busiest_stage_is_named_with_its_share(stage: str):
    found = bottleneck(shares(**{stage: 0.93}), queue=0, balance=BALANCED)
    assert found == (stage, f"{stage}, 93% busy")


def test_the_busier_of_two_busy_stages_is_named():
    assert bottleneck(shares(learning=0.8, generation=0.9), 0, BALANCED).stage == "generation"
    assert bottleneck(shares(learning=0.9, generation=0.8), 0, BALANCED).stage == "learning"


def test_scoring_is_named_while_sequences_wait_for_idle_scorers():
    idle = shares(generation=0.4, scoring=0.2)
    assert bottleneck(idle, 64, BALANCED) == ("scoring", "scoring, 20% busy")
    assert bottleneck(idle, 0, BALANCED).stage == "generation"


@pytest.mark.parametrize(
    ("balance", "waiting"), [(1.0, "actors wait"), (-0.85, "the learner waits"), (0.5, None)]
)
def test_the_replay_ratio_is_named_while_no_stage_is_busy(balance: float, waiting: str | None):
    found = bottleneck(shares(scoring=0.5), 0, balance)
    assert found == (
        ("replay ratio", f"replay ratio, {waiting}")
        if waiting
        else ("scoring", "scoring, 50% busy")
    )


def test_a_busy_stage_comes_before_the_queue_and_the_ratio():
    assert bottleneck(shares(learning=0.95), 64, 1.0).stage == "learning"


def test_the_busiest_is_named_where_stages_take_turns():
    turns = shares(generation=0.3, scoring=0.45, learning=0.2, driver=0.05)
    assert bottleneck(turns, 0, math.nan).stage == "scoring"


def test_no_stage_is_named_before_the_first_work():
    assert bottleneck(dict.fromkeys(STAGES, 0.0), 0, -1.0) == ("", "nothing yet")


def test_rare_reports_of_long_work_are_smoothed():
    busy = BusyShares()
    found = []
    for tick in range(200):  # a task of 10 s, reported when it is done
        work = dict.fromkeys(STAGES, 0.0) | {"scoring": 10.0 if tick % 10 == 9 else 0.0}
        found.append(busy.add(1.0, work)["scoring"])
    assert min(found[100:]) > 0.8
    assert found[5] == 0


def test_busy_shares_decay_without_work():
    busy = BusyShares()
    assert busy.add(60.0, dict.fromkeys(STAGES, 30.0))["learning"] == pytest.approx(0.5)
    assert busy.add(1.0, dict.fromkeys(STAGES, 90.0))["learning"] == 1.0
    for _ in range(300):
        last = busy.add(1.0, dict.fromkeys(STAGES, 0.0))
    assert last["learning"] < 0.01


def started() -> Tally:
    """A tally after the first tick with work in it."""
    tally = Tally()
    tally.ticked = time.monotonic() - 60.0
    tally.add_generated(ActorReport(1, 64, 0, seconds=1.0, kl_to_prior=0.0))
    assert tally.tick(actors_alive=1).bottleneck.stage == ""
    return tally


def test_start_time_does_not_count_as_busy():
    tally = Tally()
    for _ in range(3):
        tally.ticked = time.monotonic() - 20.0
        assert tally.tick().driver_busy == 0
    working = started()
    working.ticked = time.monotonic() - 20.0
    assert working.tick().driver_busy == pytest.approx(1, abs=0.01)


def test_busy_shares_count_processes_and_waiting():
    tally = started()
    tally.ticked = time.monotonic() - 10.0
    for worker in (1, 2):
        tally.add_generated(ActorReport(worker, 64, 0, seconds=5.0, kl_to_prior=0.0))
    for _ in range(4):
        tally.add_scored(ScoreReport(64, 64, 0, 0, 64, 1.0, seconds=9.0))
    tally.add_learned(
        LearnerReport(1, 1, 64, 0, 1.0, 1.0, 1.0, 0.0, fetch_s=0.5, learn_s=1.5, publish_s=0.5)
    )
    tally.waited_s, tally.replay_s = 7.0, 2.5
    tick = tally.tick(actors_alive=2, scorers_up=4)
    assert tick.generation_busy == pytest.approx(0.5, abs=0.01)
    assert tick.scoring_busy == pytest.approx(0.9, abs=0.01)
    assert tick.learning_busy == pytest.approx(0.2, abs=0.01)
    assert tick.driver_busy == pytest.approx(0.05, abs=0.01)
    assert tick.bottleneck.text == "scoring, 90% busy"
    # with twice the scorers the same work is half the share
    tally.ticked, tally.scored = time.monotonic() - 1000.0, [ScoreReport(1, 1, 0, 0, 1, 1.0, 4e3)]
    assert tally.tick(actors_alive=2, scorers_up=8).scoring_busy == pytest.approx(0.5, abs=0.01)
