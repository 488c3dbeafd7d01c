"""The metrics of a run: fixed keys, units in the name, emitted each tick, zeros included."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sequence_tutor.distributed.metrics.bottleneck import STAGES, Bottleneck, BusyShares, bottleneck
from sequence_tutor.distributed.types import DURATIONS, ActorReport, LearnerReport, ScoreReport
from sequence_tutor.rewards.base import Status


@dataclass
class Metrics:
    """One tick; docs/metrics.md says what each number means and should look like.

    Shares are of the sequences scored in it. `generate_s` to `driver_waiting_s` are seconds since
    the last tick, summed over the processes of a kind, `*_busy` the share of the last half minute
    that one of them was busy. `scores_ok` to `scores_failed` count new scores by their status, but
    `failed` all sequences without a score. KL is nats per episode; staleness is updates.
    """

    iteration: int = 0
    elapsed_s: float = 0.0
    updates: int = 0
    scores_used: int = 0
    sequences: int = 0
    sequences_per_s: float = 0.0
    updates_per_s: float = 0.0
    valid_share: float = math.nan
    repeated_share: float = math.nan
    failed: int = 0
    scores_ok: int = 0
    scores_invalid: int = 0
    scores_timeout: int = 0
    scores_crashed: int = 0
    scores_failed: int = 0
    reward_mean: float = math.nan
    invalid_reward: float = math.nan
    reward_top10: float = math.nan
    kl_to_prior: float = math.nan
    staleness: float = 0.0
    loss: float = math.nan
    residual: float = math.nan
    start_value: float = math.nan
    replay_ratio: float = math.nan
    replay_balance: float = math.nan
    replay_rows: int = 0
    replay_bytes: int = 0
    unrecorded_rows: int = 0
    unrecorded_s: float = 0.0
    claimed_keys: int = 0
    waiting_to_be_scored: int = 0
    scoring: int = 0
    lost_batches: int = 0
    retried_batches: int = 0
    lost_leases: int = 0
    lost_samples: int = 0
    actors_alive: int = 0
    scorers_up: int = 0
    scorers_wanted: int = 0
    shards_alive: int = 0
    generate_s: float = 0.0
    score_s: float = 0.0
    replay_s: float = 0.0
    learn_s: float = 0.0
    broadcast_s: float = 0.0
    driver_waiting_s: float = 0.0
    generation_busy: float = 0.0
    scoring_busy: float = 0.0
    learning_busy: float = 0.0
    driver_busy: float = 0.0

    @property
    def learning_s(self) -> float:
        """Seconds that the learner learned and published, one after the other."""
        return self.learn_s + self.broadcast_s

    @property
    def bottleneck(self) -> Bottleneck:
        """What holds the run up."""
        busy = {stage: getattr(self, f"{stage}_busy") for stage in STAGES}
        return bottleneck(busy, self.waiting_to_be_scored, self.replay_balance)


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
STATUSES = tuple(f"scores_{status.name.lower()}" for status in Status)


@dataclass
class Tally:
    """Counts since the start of the run, the last error of a reward, and reports since the last
    tick. statuses and durations are as in `ScoreReport`; durations and lost_samples count from this
    driver's start. begun: whether anything was done by the last tick. at_checkpoint: the counters
    that it goes on from."""

    started: float = field(default_factory=time.monotonic)
    earlier_s: float = 0.0
    iteration: int = 0
    rounds: int = 0
    sequences: int = 0
    inserted: int = 0
    sampled: int = 0
    scores_used: int = 0
    updates: int = 0
    failed: int = 0
    valid: int = 0
    error: str = ""
    statuses: np.ndarray = field(default_factory=lambda: np.zeros(len(Status), np.int64))
    durations: np.ndarray = field(default_factory=lambda: np.zeros(DURATIONS, np.int64))
    lost_samples: int = 0
    generated: list[ActorReport] = field(default_factory=list)
    scored: list[ScoreReport] = field(default_factory=list)
    learned: list[LearnerReport] = field(default_factory=list)
    replay_s: float = 0.0
    waited_s: float = 0.0
    ticked: float = field(default_factory=time.monotonic)
    begun: bool = False
    busy: BusyShares = field(default_factory=BusyShares)
    last: Metrics = field(default_factory=Metrics)
    at_checkpoint: dict[str, int] = field(default_factory=dict)

    def counters(self) -> dict[str, int]:
        """What a checkpoint keeps."""
        statuses = dict(zip(STATUSES, self.statuses.tolist(), strict=True))
        return {name: getattr(self, name) for name in COUNTERS} | statuses

    def restore(self, counters: dict[str, int], elapsed_s: float) -> None:
        """Go on counting from a checkpoint."""
        for name in COUNTERS:
            setattr(self, name, counters[name])
        # checkpoints from before these were counted lack them
        self.statuses = np.array([counters.get(name, 0) for name in STATUSES], np.int64)
        self.earlier_s, self.started = elapsed_s, time.monotonic()
        self.at_checkpoint = counters

    def take_up(self, paid: int, void: int, failed: int, ahead: bool) -> None:
        """Go on with a record with these numbers of rows that are paid for, void and failed (void
        ones only count as void). `ahead`: it is taken up as it is, with what came after the
        checkpoint; else as it was then. What has become void since no longer counts as used or
        failed."""
        before = self.at_checkpoint.get("paid_rows", paid)
        self.scores_used = paid if ahead else self.scores_used + paid - before
        lost = void - self.at_checkpoint.get("void_rows", 0)
        if lost <= 0:
            return
        # the record may have some that came after the checkpoint and aren't counted
        counted = min(lost, int(self.statuses[Status.TIMEOUT :].sum()))
        self.inserted = max(0, self.inserted - counted)
        if not failed:
            self.failed = 0
            self.statuses[Status.TIMEOUT :] = 0
        else:  # those alone whose scorers were lost
            self.failed = max(0, self.failed - lost)
            self.statuses[Status.CRASHED] = max(0, self.statuses[Status.CRASHED] - lost)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start of the run, those between a stop and a resume left out."""
        return self.earlier_s + time.monotonic() - self.started

    def add_generated(self, report: ActorReport) -> None:
        self.generated.append(report)
        self.sequences += report.rows

    def add_scored(self, report: ScoreReport) -> None:
        self.scored.append(report)
        self.inserted += report.added
        self.scores_used += report.paid
        self.failed += report.failed
        self.valid += report.valid
        self.statuses += report.statuses
        self.durations += report.durations
        self.error = report.error or self.error

    def add_learned(self, report: LearnerReport) -> None:
        self.learned.append(report)
        self.updates = report.total_updates
        self.sampled += report.rows
        self.lost_samples += report.lost

    def tick(self, *, invalid_reward: float = math.nan, **gauges: Any) -> Metrics:
        """Metrics of the time since the last tick; what had no news keeps its last value.
        invalid_reward is what invalid sequences without a reward of their own are worth."""
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
        kl_rows = sum(r.rows for r in self.generated)
        self.last = Metrics(
            iteration=self.iteration,
            elapsed_s=self.elapsed_s,
            updates=self.updates,
            scores_used=self.scores_used,
            sequences=self.sequences,
            sequences_per_s=kl_rows / seconds,
            updates_per_s=updates / seconds,
            valid_share=sum(r.valid for r in self.scored) / rows if rows else last.valid_share,
            repeated_share=(
                sum(r.repeated for r in self.scored) / rows if rows else last.repeated_share
            ),
            failed=self.failed,
            **dict(zip(STATUSES, self.statuses.tolist(), strict=True)),
            lost_samples=self.lost_samples,
            reward_mean=rewards / rewarded if rewarded else last.reward_mean,
            invalid_reward=invalid_reward,
            kl_to_prior=(
                sum(r.kl_to_prior * r.rows for r in self.generated) / kl_rows
                if kl_rows
                else last.kl_to_prior
            ),
            staleness=newest.staleness if newest else last.staleness,
            loss=newest.loss if newest else last.loss,
            residual=newest.residual if newest else last.residual,
            start_value=newest.start_value if newest else last.start_value,
            generate_s=sum(r.seconds for r in self.generated),
            score_s=sum(r.seconds for r in self.scored),
            replay_s=self.replay_s + sum(r.fetch_s for r in self.learned),
            learn_s=sum(r.learn_s for r in self.learned),
            broadcast_s=sum(r.publish_s for r in self.learned),
            driver_waiting_s=self.waited_s,
            **gauges,
        )
        if self.begun:  # what comes before the first work is starting, and holds nothing up
            self._add_busy_shares(self.last, seconds)
        self.begun = self.begun or bool(self.generated or self.learned)
        self.generated, self.scored, self.learned = [], [], []
        self.replay_s = self.waited_s = 0.0
        self.ticked = now
        return self.last

    def _add_busy_shares(self, m: Metrics, seconds: float) -> None:
        work = {
            "generation": m.generate_s / max(1, m.actors_alive),
            "scoring": m.score_s / max(1, m.scorers_up),
            "learning": m.learning_s,
            "driver": max(0.0, seconds - m.driver_waiting_s - self.replay_s),
        }
        for stage, share in self.busy.add(seconds, work).items():
            setattr(m, f"{stage}_busy", share)
