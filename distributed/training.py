"""The part of a run that is the same with and without Ray: rounds, budget, metrics, checkpoints.

`algorithm.SequenceTutor` drives Ray actors with it; `local.LocalRun` drives objects of this
process. In synchronous mode both make the same rounds: the same seed gives the same record and the
same weights.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import to_toml
from sequence_tutor.distributed.learning.temperature import Temperature
from sequence_tutor.distributed.metrics.display import Best
from sequence_tutor.distributed.metrics.failure_watch import FailureWatch
from sequence_tutor.distributed.metrics.gauges import stats_gauges
from sequence_tutor.distributed.metrics.invalid_watch import InvalidWatch
from sequence_tutor.distributed.metrics.plateau import Plateau
from sequence_tutor.distributed.metrics.repeat_watch import ASKED, AUTO, FIXED, RepeatWatch
from sequence_tutor.distributed.metrics.reward_watch import RewardWatch, judged_temperature
from sequence_tutor.distributed.metrics.tally import Metrics, Tally
from sequence_tutor.distributed.population import is_policy, part_of, policy_name
from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.replay.messages import EmptyReplayError, combine
from sequence_tutor.distributed.replay.rate import ReplayRatio
from sequence_tutor.distributed.report.summary import TOP_ROWS, write_top
from sequence_tutor.distributed.run_directory import checkpoint
from sequence_tutor.distributed.snapshot import (
    Learning,
    followed,
    restore,
    take_snapshot,
    take_up_record,
)
from sequence_tutor.distributed.stop_signal import BrokenRewardError
from sequence_tutor.distributed.types import (
    POLICY,
    ActorReport,
    LearnerReport,
    PolicySamples,
    RoundReport,
    ScoreReport,
    ScreenReport,
    Weights,
)
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.prior import Prior, as_tensors, build_prior
from sequence_tutor.rewards.bounds import worth_of_invalid
from sequence_tutor.rewards.config import RewardConfig

# Seconds a run waits at its end for scores under way, on top of the reward's own deadlines.
DRAIN_S = 60.0
# The run ends if the reward fails this many times before its first success.
FAILED_AT_FIRST = 100
# Newest rows, at the first update, whose rewards tell the first temperature of "auto".
FIRST_REWARDS = 1024


class UpdateCalls(Learning, Protocol):
    """Starts updates and returns their reports.

    updates: number of updates under way. full: whether to start no more for the moment.
    """

    @property
    def updates(self) -> int: ...

    @property
    def full(self) -> bool: ...

    def start(self, batches: list[Any], temperature: float) -> None: ...

    def finished(self, timeout_s: float | None = 0.0) -> list[LearnerReport]: ...

    def publish(self) -> None: ...


def patience_s(reward: RewardConfig) -> float:
    """Seconds to wait for the scores under way: time for all attempts of a reward, and DRAIN_S."""
    return DRAIN_S + reward.timeout_s * (1 + reward.retries)


def shares_of_budget(rows: list[int], left: int | None) -> list[int]:
    """Number of valid sequences that may be scored of each batch of a round, given their rows. A
    share doesn't depend on the scores of other batches, so the batches can be scored in parallel.
    """
    shares: list[int] = []
    for size in rows:
        shares.append(size if left is None else min(left, size))
        left = None if left is None else left - shares[-1]
    return shares


class Training(ABC):
    """The state of a run and its synchronous round.

    A subclass sets `replay` and `learning`, and reaches the generators, the scorers and the newest
    weights.
    """

    replay: ReplayClient
    learning: Any  # UpdateCalls; RLlib's Algorithm leaves subclasses untyped

    def begin(self, run: RunConfig, prior: Prior, directory: Location) -> None:
        """Set the state that both kinds of run share."""
        self.run_config, self.prior, self.directory = run, prior, directory
        self.tally = Tally()
        self.invalid = InvalidWatch(worth_of_invalid(run.reward, run.domain.name))
        asked = AUTO if run.learner.kl is None else ASKED
        self.repeats = RepeatWatch(FIXED if run.learner.asked_kl is None else asked)
        self.failures = FailureWatch()
        self.rewards = RewardWatch(judged_temperature(run))
        self.best: Best | None = None
        self.temperature = Temperature(run.learner, self.repeats)
        self.last_metrics = Metrics()
        self.plateau = Plateau()
        self.updates_before = 0  # of earlier stages
        self.trainable_rows = 0  # of the replay, as of the last metrics
        self._nothing_to_learn = False
        learner = run.learner
        self.rate = ReplayRatio(
            run.replay.ratio,
            run.replay.min_rows,
            sample_rows=learner.batch * learner.count * learner.updates_per_call,
            insert_rows=run.largest_insert,
        )

    # -- for subclasses -------------------------------------------------------------------------

    @abstractmethod
    def generate_and_score(self) -> RoundReport:
        """A batch of each actor and proposer for this round, screened, scored and stored in
        order."""

    @abstractmethod
    def newest_weights(self) -> tuple[int, Weights]:
        """The version and the policy's weights that were published last."""

    @abstractmethod
    def part_gauges(self) -> dict[str, Any]:
        """Fields of `Metrics` about actors and scorers."""

    # -- budget ---------------------------------------------------------------------------------

    def finished(self) -> bool:
        """Whether the budget is used and the updates that its scores allow are made. A limit of
        [stop] on updates or seconds ends the run without these updates."""
        stop, tally = self.run_config.stop, self.tally
        return self.out_of_budget() and (
            (stop.updates is not None and tally.updates - self.updates_before >= stop.updates)
            or (stop.seconds is not None and tally.elapsed_s >= stop.seconds)
            or self.updates_owed() + self.learning.updates == 0
        )

    def updates_owed(self) -> int:
        """Updates still to start, once scoring has ended, until the replay ratio is reached; see
        `ReplayRatio`. 0 in synchronous mode, where a round has a fixed number of updates, and
        without actors, where there is no ratio."""
        run, tally = self.run_config, self.tally
        if run.mode == "synchronous" or not run.generates or not self.trainable_rows:
            return 0
        rows = run.learner.batch * run.learner.count
        return self.rate.owed(tally.inserted, tally.sampled + self.learning.updates * rows, rows)

    def out_of_budget(self) -> bool:
        """Whether a limit of [stop] is reached; nothing is generated after that."""
        return bool(self.limit_reached())

    def limit_reached(self) -> str:
        """The limit of [stop] that is reached, such as "stop.scores"; "" before that."""
        t, plateau = self.tally, self.plateau
        return self.run_config.stop.reached(
            t.scores_used,
            t.updates - self.updates_before,
            t.elapsed_s,
            t.sequences,
            plateau.best,
            plateau.since_rise(t.scores_used),
        )

    def budget_left(self) -> int | None:
        """Number of distinct valid sequences that may still be scored; None without a limit."""
        stop = self.run_config.stop
        return None if stop.scores is None else max(0, stop.scores - self.tally.scores_used)

    # -- one round ------------------------------------------------------------------------------

    def round(self) -> None:
        """One synchronous round: every actor generates, the scorers score, the shards store in a
        fixed order, the learner updates."""
        run, tally, started = self.run_config, self.tally, time.perf_counter()
        reports = self.generate_and_score()
        for made in reports.generated:
            self.count_generated(made)
        for screened in reports.screened:
            self.count_screened(screened)
        for scores in reports.scored:
            self.count_scores(scores)
        self.replay.share()
        if tally.inserted >= run.replay.min_rows or not run.generates:
            step = run.learner.updates_per_call
            for first in range(0, run.updates_per_iteration, step):
                self.learn(min(step, run.updates_per_iteration - first))
                self.take_learned(None)
        tally.waited_s += time.perf_counter() - started
        tally.rounds += 1

    def count_generated(self, report: ActorReport) -> None:
        """Add a report to the tally; the policy's tell the KL."""
        self.tally.add_generated(report)
        if report.source == POLICY:
            self.temperature.add_kl(report.kl_to_prior, report.rows)

    def count_screened(self, report: ScreenReport) -> None:
        """Add a report to the tally."""
        self.tally.add_screened(report)
        self._count_samples(report.policy)

    def _count_samples(self, samples: PolicySamples) -> None:
        self.repeats.add(samples)
        self.temperature.add_samples(samples)

    def count_scores(self, report: ScoreReport) -> None:
        """Add a report to the tally. Raises BrokenRewardError if the reward fails FAILED_AT_FIRST
        times before its first success."""
        self.tally.add_scored(report)
        self.invalid.add(report.valid + report.failed, report.rows)
        self.failures.add(report)
        self.rewards.add(report.new_rewards)
        if self.run_config.screen is None:  # a screen has dropped what is repeated, and reports it
            self._count_samples(report.policy)
        if not self.tally.valid and self.tally.failed >= FAILED_AT_FIRST:
            raise BrokenRewardError(
                f"the reward failed on all of the first {self.tally.failed} valid sequences, for "
                f"example: {self.tally.error}; when it is mended, --resume tries them again"
            )

    def learn(self, updates: int) -> bool:
        """Start `updates` updates, with one batch per update and learner, then publish the weights.
        Returns False if the replay has nothing to sample yet. Raises EmptyReplayError if it has
        nothing and there are no actors to fill it."""
        run, started = self.run_config, time.perf_counter()
        draw = run.learner.batch, self._sample_seed(), updates * run.learner.count
        try:
            if run.mode == "synchronous":
                self.replay.stats()  # the rows of each shard set how often it is drawn from
                batches = self.replay.sample(*draw)
            else:  # with the rows as of the last metrics; don't wait for shards that spell anew
                batches = self.replay.start_sampling(*draw)
        except EmptyReplayError:
            if not run.generates:
                raise
            self._nothing_to_learn = True
            return False
        self._nothing_to_learn = False
        if self.temperature.needs_rewards:
            self.temperature.start(self._first_rewards())
        self.learning.start(batches, self.temperature.next(updates))
        self.tally.replay_s += time.perf_counter() - started
        return True

    def take_learned(self, timeout_s: float | None) -> bool:
        """Count the updates that are done and return whether there were any. With `timeout_s` None
        wait for all updates under way, so that networks and counts match."""
        reports = self.learning.finished(timeout_s)
        for report in reports:
            self.tally.add_learned(report)
        return bool(reports)

    def _first_rewards(self) -> np.ndarray:
        """Rewards of valid sequences that the policy made before it learned, float64 [N]; of all
        where it made none."""
        rows = self.replay.view(0, FIRST_REWARDS)
        by_policy = np.array([is_policy(source) for source in rows.sources], bool)
        return rows.rewards[by_policy] if by_policy.any() else rows.rewards

    def _sample_seed(self) -> int:
        """A seed from the run's seed and the number of updates made or under way, nothing else."""
        updates = self.tally.updates + self.learning.updates
        sequence = np.random.SeedSequence([self.run_config.seed, updates])
        return int(sequence.generate_state(1)[0])

    # -- metrics, policy, checkpoints -----------------------------------------------------------

    def read_metrics(self) -> Metrics:
        """Metrics since the last call."""
        shards, tally = self.replay.stats(), self.tally
        stats = combine(shards)
        self.invalid.look(stats)
        self.rewards.look(stats)
        if stats.best_sequence:
            self.best = Best(stats.best_sequence, float(stats.best[0]))
        self.trainable_rows = stats.trainable_rows
        gauges = stats_gauges(stats)
        self.plateau.add(gauges["reward_top10"], tally.scores_used)
        if self.run_config.searches:
            tally.sources.set_top(stats.best_sources)
        # a synchronous round waits for every scorer and has a fixed number of updates
        paced = self.run_config.mode == "asynchronous" and self.run_config.generates
        balance = self.rate.balance_share(tally.inserted, tally.sampled) if paced else math.nan
        return tally.tick(
            invalid_reward=self.invalid.value,
            temperature=self.temperature.value,
            replay_ratio=self.rate.achieved(tally.inserted, tally.sampled),
            replay_balance=balance,
            shards_alive=sum(shard.live for shard in shards),
            **gauges,
            **self.part_gauges(),
        )

    def take_warnings(self) -> list[str]:
        """What has become wrong since the last call, one sentence each."""
        watches = self.invalid, self.repeats, self.failures, self.rewards
        return [text for watch in watches for text in watch.take_warnings()]

    def policy(self) -> Prior:
        """The newest policy, the first of a population, as a `Prior`: to save, sample or tune."""
        return self.policies()[POLICY]

    def policies(self) -> dict[str, Prior]:
        """The newest policies by name, the first first."""
        version, weights = self.newest_weights()
        base = self.prior.network if self.run_config.learner.algorithm == "g" else None
        found = {}
        for member in range(len(self.run_config.learner.population)):
            card = {"tuned_from": self.run_config.prior, "updates": version}
            own = as_tensors(part_of(weights, member))
            network = build_prior(self.prior.metadata(), own).network
            found[policy_name(member)] = Prior(self.prior.encoding, network, card, base)
        return found

    def save_run(self) -> Location:
        """Write what `sample`, `evaluate` and `--resume` read into the run directory: the config,
        the policy, the best sequences and a checkpoint. Returns the directory. Raises OSError."""
        (self.directory / "config.toml").write(to_toml(self.run_config))
        self.save_run_checkpoint()
        for name, policy in self.policies().items():
            policy.save(self.directory / name)
        write_top(self.replay.top(TOP_ROWS), self.directory / "top.csv")
        return self.directory

    def save_run_checkpoint(self) -> Location:
        """Write a checkpoint into the run directory; the record is stored separately."""
        root, keep = self.directory / "checkpoints", self.run_config.checkpoint.keep
        return checkpoint.save(root, self.snapshot(), keep)

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Continue from a checkpoint; the shards have reloaded the record already."""
        saved = checkpoint.read(checkpoint_dir)
        restore(saved, self.learning, self.tally, self.temperature)
        self.plateau.restore(saved.tensors)
        self.rewards.leave_scale()
        self._take_up_record(saved.live_rows)

    def follow(self, saved: checkpoint.Checkpoint) -> None:
        """Continue the networks of an earlier stage or run, see `followed`."""
        tensors = followed(saved.tensors, self.learning.export_tensors())
        self.learning.import_tensors(tensors, saved.counters["updates"])
        self.tally.updates = self.updates_before = saved.counters["updates"]
        self.rewards.leave_scale()

    def start_anew(self) -> None:
        """Continue with the record of a run that ended before its first checkpoint."""
        self._take_up_record([0] * self.run_config.replay.shards)

    def _take_up_record(self, live_rows: list[int]) -> None:
        synchronous = self.run_config.mode == "synchronous"
        stats = take_up_record(self.replay, self.tally, live_rows, synchronous)
        self.trainable_rows = 0 if synchronous else stats.trainable_rows

    def snapshot(self) -> checkpoint.Checkpoint:
        """Wait for the updates under way, flush the record, and return the run's state."""
        self.take_learned(None)
        self.replay.flush()
        config = to_toml(self.run_config)
        taken = take_snapshot(self.learning, self.replay, self.tally, self.temperature, config)
        return replace(taken, tensors=taken.tensors | self.plateau.state())
