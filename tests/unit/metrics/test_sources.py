"""The counts by proposer: what they count, and that a checkpoint keeps them."""

from __future__ import annotations

import numpy as np

from sequence_tutor.distributed.metrics.sources import SourceCounts, SourceTable
from sequence_tutor.distributed.metrics.tally import Tally
from sequence_tutor.distributed.types import ActorReport, ScoreReport, ScreenReport


def generated(source: str, rows: int) -> ActorReport:
    return ActorReport(1, rows, 0, 0.5, 2.0 if source == "policy" else float("nan"), source)


def filled() -> Tally:
    tally = Tally()
    tally.add_generated(generated("policy", 10))
    tally.add_generated(generated("genetic", 30))
    tally.add_screened(ScreenReport({"genetic": 5}, {"genetic": 32, "policy": 7}, 40, 6, 0.25))
    score = ScoreReport(6, 5, 0, 0, 5, 1.0, 0.1, scored_by={"genetic": 3, "policy": 2})
    tally.add_scored(score)
    tally.sources.set_top(["genetic"] * 4 + ["warm-start"])
    return tally


def test_a_tick_has_the_counts_since_the_start():
    tally = filled()
    first = tally.tick()
    assert first.sources == {
        "policy": SourceCounts(10, 7, 2, 0),
        "genetic": SourceCounts(35, 32, 3, 4),
        "warm-start": SourceCounts(0, 0, 0, 1),
    }
    assert (first.sequences, first.screen_s, first.kl_to_prior) == (40, 0.25, 2.0)
    tally.add_generated(generated("genetic", 1))
    tally.sources.set_top(["policy"])
    second = tally.tick()
    assert second.sources["genetic"] == SourceCounts(36, 32, 3, 0) and second.screen_s == 0
    assert first.sources["genetic"] == SourceCounts(35, 32, 3, 4)  # a copy
    assert np.isfinite(second.kl_to_prior)  # the policy's last one


def test_counts_survive_a_checkpoint():
    before, resumed = filled(), Tally()
    resumed.restore(before.counters(), 5.0)
    assert resumed.sources.by_name == before.sources.by_name
    resumed.add_generated(generated("genetic", 1))
    assert resumed.tick().sources["genetic"].proposed == 36


def test_a_name_with_dots_survives_and_other_counters_are_ignored():
    table, again = SourceTable(), SourceTable()
    table.add_generated(generated("my.own.proposer", 3))
    again.restore(table.counters() | {"updates": 7})
    assert again.by_name == {"my.own.proposer": SourceCounts(3, 0, 0, 0)}
