"""The metrics of a run: fixed keys, units in the name, emitted each tick, zeros included."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sequence_tutor.distributed.metrics.bottleneck import STAGES, Bottleneck, BusyShares, bottleneck
from sequence_tutor.distributed.metrics.sources import SourceCounts, SourceTable
from sequence_tutor.distributed.types import (
    DURATIONS,
    POLICY,
    ActorReport,
    LearnerReport,
    ScoreReport,
    ScreenReport,
)
from sequence_tutor.rewards.base import Status


@dataclass
class Metrics:
    """One tick; docs/metrics.md says what each number means and should look like.

    A number that a tick brings no report of keeps its last value; NaN is not known yet.
    """

    iteration: int = 0
    """Ticks since the start of the run."""
    elapsed_s: float = 0.0
    """Seconds that the run has taken, pauses left out."""
    updates: int = 0
    """Updates since the start of the run."""
    scores_used: int = 0
    """Scores that count against the budget."""
    sequences: int = 0
    """Sequences generated."""
    sequences_per_s: float = 0.0
    """Sequences generated per second in this tick."""
    updates_per_s: float = 0.0
    """Updates per second in this tick."""
    valid_share: float = math.nan
    """Share of this tick's scored sequences that have `Status.OK`, 0 to 1."""
    repeated_share: float = math.nan
    """Share of this tick's scored sequences that needed no new score, 0 to 1."""
    failed: int = 0
    """Sequences without a score, repeated ones included."""
    calls_saved: int = 0
    """Calls of components that weren't made, since a filter or penalty of 0 came first or an
    earlier run had the value; since the start of this driver."""
    scores_ok: int = 0
    """New scores with `Status.OK`."""
    scores_invalid: int = 0
    """New invalid sequences."""
    scores_timeout: int = 0
    """New scores that took longer than `reward.timeout_s`."""
    scores_crashed: int = 0
    """New scores whose process died or took too much memory."""
    scores_failed: int = 0
    """New scores that raised an error or weren't a number."""
    reward_mean: float = math.nan
    """Mean reward of this tick's sequences that have one, invalid ones by `invalid_reward`."""
    invalid_reward: float = math.nan
    """Reward of an invalid sequence; NaN where it isn't the same for all."""
    reward_top10: float = math.nan
    """Mean of the ten best rewards so far."""
    groups: int = 0
    """Groups, such as scaffolds, with a row that takes a place in `[diversity]`."""
    lowered_share: float = 0.0
    """Share of the valid rows whose reward `[diversity]` lowers in training, 0 to 1."""
    kl_to_prior: float = math.nan
    """Mean KL of the policy to the prior, nats per episode."""
    temperature: float = math.nan
    """c of the last updates, in units of the reward."""
    staleness: float = 0.0
    """Mean staleness of the last updates, in updates."""
    loss: float = math.nan
    """Mean loss of the last updates."""
    residual: float = math.nan
    """Mean size of the residual in the last updates, nats."""
    start_value: float = math.nan
    """Value of the start state, nats."""
    replay_ratio: float = math.nan
    """Samples consumed per row inserted."""
    replay_balance: float = math.nan
    """Balance of the replay ratio divided by its slack: 1 actors wait, -1 the learner waits."""
    replay_rows: int = 0
    """Rows in the replay."""
    replay_bytes: int = 0
    """Memory of all shards, in bytes."""
    unrecorded_rows: int = 0
    """Rows that are not on record yet."""
    unrecorded_s: float = 0.0
    """Seconds that the oldest of them has waited."""
    claimed_keys: int = 0
    """Keys that scorers have claimed."""
    waiting_to_be_scored: int = 0
    """Sequences that no scorer has yet."""
    scoring: int = 0
    """Sequences that scorers have."""
    lost_batches: int = 0
    """Batches lost before they were scored."""
    retried_batches: int = 0
    """Batches taken from a lost scorer and handed out again."""
    lost_leases: int = 0
    """Claims taken from scorers that were silent for longer than the lease."""
    lost_samples: int = 0
    """Batches lost on the way to the learner."""
    actors_alive: int = 0
    """Actors that answer."""
    proposers_up: int = 0
    """Processes of proposers beside the policy."""
    screens_up: int = 0
    """Processes that screen."""
    scorers_up: int = 0
    """Scorers that can be given work."""
    scorers_wanted: int = 0
    """Scorers, including those that wait for a CPU."""
    shards_alive: int = 0
    """Shards that answer."""
    generate_s: float = 0.0
    """Seconds since the last tick that actors and other proposers generated, summed over all."""
    screen_s: float = 0.0
    """Seconds since the last tick spent screening, summed over all processes."""
    score_s: float = 0.0
    """Seconds since the last tick that scorers scored, summed over all."""
    replay_s: float = 0.0
    """Seconds since the last tick spent sampling and getting batches to the learner."""
    learn_s: float = 0.0
    """Seconds since the last tick spent on updates."""
    broadcast_s: float = 0.0
    """Seconds since the last tick spent publishing weights."""
    driver_waiting_s: float = 0.0
    """Seconds since the last tick that the driver waited for reports."""
    generation_busy: float = 0.0
    """Smoothed share of the last half minute that an actor was busy, 0 to 1."""
    screening_busy: float = 0.0
    """Smoothed share of the last half minute that a screen was busy, 0 to 1."""
    scoring_busy: float = 0.0
    """Smoothed share of the last half minute that a scorer was busy, 0 to 1."""
    learning_busy: float = 0.0
    """Smoothed share of the last half minute that the learner was busy, 0 to 1."""
    driver_busy: float = 0.0
    """Smoothed share of the last half minute that the driver was busy, 0 to 1."""

    sources: dict[str, SourceCounts] = field(default_factory=dict)
    """What became of the sequences of each proposer, by its name."""

    @property
    def learning_s(self) -> float:
        """Seconds since the last tick that the learner learned and published."""
        return self.learn_s + self.broadcast_s

    @property
    def bottleneck(self) -> Bottleneck:
        """The stage that limits the speed of the run."""
        busy = {stage: getattr(self, f"{stage}_busy") for stage in STAGES}
        return bottleneck(busy, self.waiting_to_be_scored, self.replay_balance)


# Fields of `Tally` that a checkpoint keeps.
COUNTERS = (
    "iteration",
    "rounds",
    "sequences",
    "inserted",
    "sampled",
    "scores_used",
    "updates",
    "failed",
    "valid",
)
# Names, in a checkpoint, of the new scores by status.
STATUSES = tuple(f"scores_{status.name.lower()}" for status in Status)


@dataclass
class Tally:
    """Counts since the start of the run, and reports since the last tick."""

    started: float = field(default_factory=time.monotonic)
    """When this driver started counting, seconds, monotonic."""
    earlier_s: float = 0.0
    """Seconds that the run had taken before."""
    iteration: int = 0
    """Ticks."""
    rounds: int = 0
    """Rounds of the synchronous mode."""
    sequences: int = 0
    """Sequences generated."""
    inserted: int = 0
    """Rows added to the replay."""
    sampled: int = 0
    """Rows consumed by the learner."""
    scores_used: int = 0
    """Scores that count against the budget."""
    updates: int = 0
    """Updates."""
    failed: int = 0
    """Sequences without a score."""
    valid: int = 0
    """Sequences of `Status.OK`."""
    calls_saved: int = 0
    """Calls of components that weren't made, since the start of this driver."""
    error: str = ""
    """The last error of the reward, empty where there was none."""
    statuses: np.ndarray = field(default_factory=lambda: np.zeros(len(Status), np.int64))
    """int64 [len(Status)] new scores by the number of their status."""
    durations: np.ndarray = field(default_factory=lambda: np.zeros(DURATIONS, np.int64))
    """int64 [DURATIONS] new scores by how long they took, since the start of this driver."""
    lost_samples: int = 0
    """Batches lost on the way to the learner since the start of this driver."""
    generated: list[ActorReport] = field(default_factory=list)
    """Reports of actors since the last tick."""
    screened: list[ScreenReport] = field(default_factory=list)
    """Reports of the screen since the last tick."""
    scored: list[ScoreReport] = field(default_factory=list)
    """Reports of scorers since the last tick."""
    sources: SourceTable = field(default_factory=SourceTable)
    """What became of the sequences of each proposer."""
    learned: list[LearnerReport] = field(default_factory=list)
    """Reports of the learner since the last tick."""
    replay_s: float = 0.0
    """Seconds that the driver waited for the replay since the last tick."""
    waited_s: float = 0.0
    """Seconds that the driver waited for reports since the last tick."""
    ticked: float = field(default_factory=time.monotonic)
    """When the last tick was, seconds, monotonic."""
    begun: bool = False
    """Whether there was any work before the last tick."""
    busy: BusyShares = field(default_factory=BusyShares)
    """Shares of the time that each stage is busy."""
    last: Metrics = field(default_factory=Metrics)
    """Metrics of the last tick."""
    at_checkpoint: dict[str, int] = field(default_factory=dict)
    """Counters of the checkpoint that the run resumed from, empty without one."""

    def counters(self) -> dict[str, int]:
        """The counters that a checkpoint keeps."""
        statuses = dict(zip(STATUSES, self.statuses.tolist(), strict=True))
        return {name: getattr(self, name) for name in COUNTERS} | statuses | self.sources.counters()

    def restore(self, counters: dict[str, int], elapsed_s: float) -> None:
        """Continue from the counters of a checkpoint."""
        for name in COUNTERS:
            setattr(self, name, counters[name])
        self.statuses = np.array([counters[name] for name in STATUSES], np.int64)
        self.sources.restore(counters)
        self.earlier_s, self.started = elapsed_s, time.monotonic()
        self.at_checkpoint = counters

    def take_up(self, paid: int, void: int, failed: int, ahead: bool) -> None:
        """Continue with a record that has these numbers of rows that are paid for, void, and failed
        but not void. ahead: whether rows from after the checkpoint are part of the replay. Rows
        that have become void since the checkpoint stop counting as used or failed."""
        before = self.at_checkpoint.get("paid_rows", paid)
        self.scores_used = paid if ahead else self.scores_used + paid - before
        lost = void - self.at_checkpoint.get("void_rows", 0)
        if lost <= 0:
            return
        # void rows from after the checkpoint were never counted
        counted = min(lost, int(self.statuses[Status.TIMEOUT :].sum()))
        self.inserted = max(0, self.inserted - counted)
        if not failed:
            self.failed = 0
            self.statuses[Status.TIMEOUT :] = 0
        else:  # only rows given up after lost scorers are void
            self.failed = max(0, self.failed - lost)
            self.statuses[Status.CRASHED] = max(0, self.statuses[Status.CRASHED] - lost)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start of the run, without those between a stop and a resume."""
        return self.earlier_s + time.monotonic() - self.started

    def add_generated(self, report: ActorReport) -> None:
        self.generated.append(report)
        self.sources.add_generated(report)
        self.sequences += report.rows

    def add_screened(self, report: ScreenReport) -> None:
        self.screened.append(report)
        self.sources.add_screened(report)

    def add_scored(self, report: ScoreReport) -> None:
        self.scored.append(report)
        self.sources.add_scored(report)
        self.inserted += report.added
        self.scores_used += report.paid
        self.failed += report.failed
        self.valid += report.valid
        self.calls_saved += report.calls_saved
        self.statuses += report.statuses
        self.durations += report.durations
        self.error = report.error or self.error

    def add_learned(self, report: LearnerReport) -> None:
        self.learned.append(report)
        self.updates = report.total_updates
        self.sampled += report.rows
        self.lost_samples += report.lost

    def tick(self, *, invalid_reward: float = math.nan, **gauges: Any) -> Metrics:
        """Metrics of the time since the last tick. A number without reports keeps its last value.

        invalid_reward: the reward of invalid sequences that have none of their own. gauges: fields
        of `Metrics` that aren't counted here.
        """
        now, last = time.monotonic(), self.last
        seconds = max(now - self.ticked, 1e-9)
        self.iteration += 1
        rows = sum(r.rows for r in self.scored)
        rewarded = sum(r.rewarded for r in self.scored)
        unpriced = sum(r.unpriced for r in self.scored)
        rewards = sum(r.reward_sum for r in self.scored)
        if unpriced:
            rewarded, rewards = rewarded + unpriced, rewards + unpriced * invalid_reward
        updates = sum(r.updates for r in self.learned)
        newest = self.learned[-1] if self.learned else None
        made = sum(r.rows for r in self.generated)
        by_policy = [r for r in self.generated if r.source == POLICY]
        kl_rows = sum(r.rows for r in by_policy)
        self.last = Metrics(
            iteration=self.iteration,
            elapsed_s=self.elapsed_s,
            updates=self.updates,
            scores_used=self.scores_used,
            sequences=self.sequences,
            sequences_per_s=made / seconds,
            updates_per_s=updates / seconds,
            valid_share=sum(r.valid for r in self.scored) / rows if rows else last.valid_share,
            repeated_share=(
                sum(r.repeated for r in self.scored) / rows if rows else last.repeated_share
            ),
            failed=self.failed,
            calls_saved=self.calls_saved,
            **dict(zip(STATUSES, self.statuses.tolist(), strict=True)),
            lost_samples=self.lost_samples,
            reward_mean=rewards / rewarded if rewarded else last.reward_mean,
            invalid_reward=invalid_reward,
            kl_to_prior=(
                sum(r.kl_to_prior * r.rows for r in by_policy) / kl_rows
                if kl_rows
                else last.kl_to_prior
            ),
            staleness=newest.staleness if newest else last.staleness,
            loss=newest.loss if newest else last.loss,
            residual=newest.residual if newest else last.residual,
            start_value=newest.start_value if newest else last.start_value,
            generate_s=sum(r.seconds for r in self.generated),
            screen_s=sum(r.seconds for r in self.screened),
            score_s=sum(r.seconds for r in self.scored),
            replay_s=self.replay_s + sum(r.fetch_s for r in self.learned),
            learn_s=sum(r.learn_s for r in self.learned),
            broadcast_s=sum(r.publish_s for r in self.learned),
            driver_waiting_s=self.waited_s,
            sources={name: replace(c) for name, c in self.sources.by_name.items()},
            **gauges,
        )
        if self.begun:  # the time before the first work doesn't count: processes were starting
            self._add_busy_shares(self.last, seconds)
        self.begun = self.begun or bool(self.generated or self.learned)
        self.generated, self.screened, self.scored, self.learned = [], [], [], []
        self.replay_s = self.waited_s = 0.0
        self.ticked = now
        return self.last

    def _add_busy_shares(self, m: Metrics, seconds: float) -> None:
        work = {
            "generation": m.generate_s / max(1, m.actors_alive + m.proposers_up),
            "screening": m.screen_s / max(1, m.screens_up),
            "scoring": m.score_s / max(1, m.scorers_up),
            "learning": m.learning_s,
            "driver": max(0.0, seconds - m.driver_waiting_s - self.replay_s),
        }
        for stage, share in self.busy.add(seconds, work).items():
            setattr(m, f"{stage}_busy", share)
