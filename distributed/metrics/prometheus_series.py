"""The metrics on Ray's Prometheus endpoint, and the numbers of a run that are their values.

docs/metrics.md says what each of them means and should look like.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

import numpy as np

from sequence_tutor.distributed.bulk.estimate import Estimate
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.metrics.bottleneck import REPLAY_RATIO, STAGES
from sequence_tutor.distributed.metrics.tally import Tally
from sequence_tutor.distributed.types import SCORE_SECONDS
from sequence_tutor.rewards.base import Status

PREFIX = "sequence_tutor_"

# Values by the name of the metric and the value of its label, "" where it has none.
Values = dict[tuple[str, str], float]


@dataclass(frozen=True)
class Series:
    """A metric and its series, one for each value of its label."""

    name: str
    """Name without prefix and suffix, with the unit."""
    kind: Literal["counter", "sum", "gauge"]
    """A "counter" is handed over as the total so far, a "sum" as what was added since the last
    time; both are exported as counters."""
    help: str
    """What it is, in a few words."""
    label: str = ""
    """The label in which its series differ, besides those of the run; empty for a single series."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Fields of `Metrics` that are its values, by the value of the label."""

    @property
    def exported_name(self) -> str:
        """Its name on Ray's endpoint."""
        return f"ray_{PREFIX}{self.name}{'' if self.kind == 'gauge' else '_total'}"


def _gauge(name: str, of: str, text: str) -> Series:
    return Series(name, "gauge", text, fields={"": of})


def _counter(name: str, of: str, text: str) -> Series:
    return Series(name, "counter", text, fields={"": of})


RUN_SERIES = (
    Series("tick_timestamp_seconds", "gauge", "Unix time of the driver's last report"),
    _gauge("elapsed_seconds", "elapsed_s", "Time that the run has taken, pauses left out"),
    Series("bottleneck", "gauge", "1 for what holds the run up, else 0", "stage"),
    Series(
        "busy_ratio",
        "gauge",
        "Share of the time that a process of a stage works",
        "stage",
        {stage: f"{stage}_busy" for stage in STAGES},
    ),
    Series(
        "busy_seconds",
        "sum",
        "Seconds of work of all processes",
        "work",
        {
            "generate": "generate_s",
            "screen": "screen_s",
            "score": "score_s",
            "replay": "replay_s",
            "learn": "learn_s",
            "broadcast": "broadcast_s",
        },
    ),
    Series(
        "driver_waiting_seconds",
        "sum",
        "Seconds the driver waited for reports",
        fields={"": "driver_waiting_s"},
    ),
    _counter("sequences", "sequences", "Sequences generated"),
    _gauge("valid_ratio", "valid_share", "Share of sequences that have a score"),
    _gauge("repeated_ratio", "repeated_share", "Share of sequences that needed no new score"),
    Series(
        "scores",
        "counter",
        "New scores",
        "status",
        {status.name.lower(): f"scores_{status.name.lower()}" for status in Status},
    ),
    _counter("failed_sequences", "failed", "Sequences without a score, repeated ones included"),
    _counter("saved_calls", "calls_saved", "Calls of components that weren't needed"),
    Series("score_seconds_bucket", "counter", "New scores that took up to le seconds", "le"),
    _counter("scores_used", "scores_used", "Scores that count against the budget"),
    Series("scores_budget", "gauge", "stop.scores, where it is set"),
    Series(
        "queue_sequences",
        "gauge",
        "Sequences on their way to a score",
        "state",
        {"waiting": "waiting_to_be_scored", "scoring": "scoring"},
    ),
    _counter("lost_batches", "lost_batches", "Batches lost before they were scored"),
    _counter("retried_batches", "retried_batches", "Batches taken from a lost scorer"),
    _counter("lost_leases", "lost_leases", "Claims taken from scorers that were silent too long"),
    _counter("lost_samples", "lost_samples", "Batches lost on the way to the learner"),
    _gauge("claimed_keys", "claimed_keys", "Sequences that a scorer has claimed"),
    Series(
        "processes_alive",
        "gauge",
        "Processes that answer",
        "kind",
        {
            "actor": "actors_alive",
            "proposer": "proposers_up",
            "screen": "screens_up",
            "scorer": "scorers_up",
            "shard": "shards_alive",
        },
    ),
    Series("proposed_sequences", "counter", "Sequences that each proposer proposed", "source"),
    Series("screened_out_sequences", "counter", "Of these, those not chosen for a score", "source"),
    Series("scored_sequences", "counter", "New scores of each proposer, none invalid", "source"),
    Series("top100_rows", "gauge", "Rows of each proposer among the best 100", "source"),
    _gauge("wanted_scorers", "scorers_wanted", "Scorers, those included that wait for a CPU"),
    _gauge("replay_rows", "replay_rows", "Rows in the replay"),
    _gauge("replay_bytes", "replay_bytes", "Memory of the replay"),
    _gauge("unrecorded_rows", "unrecorded_rows", "Rows that are not on record yet"),
    _gauge("unrecorded_age_seconds", "unrecorded_s", "How long the oldest of them has waited"),
    _gauge("replay_ratio", "replay_ratio", "Samples consumed per row inserted"),
    Series("replay_ratio_target", "gauge", "replay.ratio"),
    _gauge("replay_balance_ratio", "replay_balance", "1: actors wait; -1: the learner does"),
    _counter("updates", "updates", "Updates of the policy"),
    _gauge("staleness_updates", "staleness", "Updates made since a sample was generated"),
    _gauge("reward_mean", "reward_mean", "Mean reward of a tick's sequences"),
    _gauge("reward_top10_mean", "reward_top10", "Mean of the ten best rewards so far"),
    _gauge("invalid_reward", "invalid_reward", "Reward of an invalid sequence at present"),
    _gauge("groups", "groups", "Groups, such as scaffolds, that [diversity] counts"),
    _gauge("lowered_ratio", "lowered_share", "Share of valid rows whose reward is lowered"),
    _gauge("kl_to_prior_nats", "kl_to_prior", "KL of the policy to the prior per sequence"),
    _gauge("temperature", "temperature", "Temperature c of the last updates"),
    _gauge("loss", "loss", "Mean loss of the last updates"),
    _gauge("residual_nats", "residual", "Mean size of the residual"),
    _gauge("start_value_nats", "start_value", "Value of the start state"),
)

BULK_SERIES = (
    Series("bulk_lines", "gauge", "Lines of the file that is scored"),
    Series("bulk_done_lines", "counter", "Lines that are done", "status"),
    Series("bulk_lines_per_second", "gauge", "Lines done per second lately"),
    Series("bulk_left_seconds", "gauge", "Time that the rest will take"),
)

# Series with a value for each proposer, whose names a run decides, by the field of `SourceCounts`.
BY_SOURCE = {
    "proposed": "proposed_sequences",
    "screened_out": "screened_out_sequences",
    "scored": "scored_sequences",
    "top100": "top100_rows",
}
# Fields of `Metrics` that aren't values themselves: Prometheus computes rates from counters, and
# the counts in `sources` have series of their own, BY_SOURCE.
NOT_EXPORTED = ("iteration", "sequences_per_s", "updates_per_s", "sources")


def run_values(run: RunConfig, tally: Tally, now: float) -> Values:
    """Values of RUN_SERIES after a tick; now: Unix seconds."""
    metrics = tally.last
    values: Values = {
        (series.name, label): getattr(metrics, name)
        for series in RUN_SERIES
        for label, name in series.fields.items()
    }
    values["tick_timestamp_seconds", ""] = now
    values["replay_ratio_target", ""] = run.replay.ratio
    if run.stop.scores is not None:
        values["scores_budget", ""] = run.stop.scores
    for source, counts in metrics.sources.items():
        for name, series_name in BY_SOURCE.items():
            values[series_name, source] = getattr(counts, name)
    for stage in (*STAGES, REPLAY_RATIO):
        values["bottleneck", stage] = float(stage == metrics.bottleneck.stage)
    # the buckets of a histogram, each with the counts of all below it
    for bound, count in zip((*SCORE_SECONDS, np.inf), accumulate(tally.durations), strict=True):
        values["score_seconds_bucket", _bound(bound)] = float(count)
    return values


def bulk_values(estimate: Estimate, counts: np.ndarray) -> Values:
    """Values of BULK_SERIES. counts int64 [len(Status)]: lines done, by status."""
    values: Values = {("bulk_lines_per_second", ""): estimate.rate}
    if estimate.total is not None:
        values["bulk_lines", ""] = estimate.total
    if (left_s := estimate.left_s) is not None:
        values["bulk_left_seconds", ""] = left_s
    for status, count in zip(Status, counts.tolist(), strict=True):
        values["bulk_done_lines", status.name.lower()] = count
    return values


def _bound(seconds: float) -> str:
    """A bucket's bound as Prometheus writes it."""
    return "+Inf" if np.isinf(seconds) else f"{seconds:g}"
