"""The algorithm: actors generate, scorers judge, replay shards remember, the learner updates.

The driver only passes references and reports between Ray actors:

    actors --refs--> scorers --rows--> replay shards --refs--> learner --weights--> board --> actors

Asynchronous mode keeps everybody busy and holds the replay ratio by pacing actors and learner.
Synchronous mode does the same work in rounds, in a fixed order, and is repeatable bit for bit.
"""

from __future__ import annotations

import math
import time
import uuid
from dataclasses import asdict
from typing import Any

import numpy as np
import ray
from ray.rllib.algorithms.algorithm import Algorithm

from sequence_tutor.distributed.algorithm_config import SequenceTutorConfig
from sequence_tutor.distributed.config import RunConfig, to_toml
from sequence_tutor.distributed.generating.actor_scaling import ActorScaler
from sequence_tutor.distributed.learning.learner import publish_from_first
from sequence_tutor.distributed.learning.update_calls import LearnerCalls
from sequence_tutor.distributed.metrics.gauges import scorer_gauges, stats_gauges
from sequence_tutor.distributed.metrics.invalid_watch import InvalidWatch
from sequence_tutor.distributed.metrics.prometheus import RunExporter
from sequence_tutor.distributed.metrics.tally import Metrics, Tally
from sequence_tutor.distributed.ray_cluster.background_start import PendingLearnerGroup
from sequence_tutor.distributed.ray_cluster.join import check_resources
from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.replay.messages import EmptyReplayError, combine
from sequence_tutor.distributed.replay.rate import ReplayRatio
from sequence_tutor.distributed.report.recorded import record_of
from sequence_tutor.distributed.report.summary import TOP_ROWS, write_top
from sequence_tutor.distributed.run_directory import checkpoint
from sequence_tutor.distributed.run_directory.starting_prior import starting_prior
from sequence_tutor.distributed.scoring.pool import ScorerPool
from sequence_tutor.distributed.scoring.task import EpisodeSlice
from sequence_tutor.distributed.snapshot import restore, take_snapshot, take_up_record
from sequence_tutor.distributed.start_processes import (
    publish_prior,
    start_actors,
    start_board,
    start_scorers,
    start_shards,
)
from sequence_tutor.distributed.stop_signal import BrokenRewardError
from sequence_tutor.distributed.synchronous import generate_and_score
from sequence_tutor.distributed.types import ScoreReport
from sequence_tutor.distributed.weight_board import prior_parts
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.prior import Prior, as_tensors, build_prior
from sequence_tutor.rewards.bounds import worth_of_invalid
from sequence_tutor.rewards.domains import domain_of

# So many failures without one success, and a run is not worth going on.
FAILED_AT_FIRST = 100
# Seconds that a run waits at its end for scores under way, beyond what a reward's deadlines allow.
DRAIN_S = 60.0
# Scorers asked for, for each that the actors would keep busy.
SPARE_SCORERS = 1.25
# Seconds the driver waits for news when it has nothing to hand on.
IDLE_WAIT_S = 0.05


def patience_s(run: RunConfig) -> float:
    """Seconds in which all scores under way must have come."""
    return DRAIN_S + run.reward.timeout_s * (1 + run.reward.retries)


class SequenceTutor(Algorithm):  # type: ignore[misc]
    """Distributed KL-controlled fine-tuning of a sequence model.

    saves_itself: whether the run is saved (`save_run`) in the iteration that uses up its budget.
    """

    config: SequenceTutorConfig

    @classmethod
    def get_default_config(cls) -> SequenceTutorConfig:
        return SequenceTutorConfig(cls)

    def setup(self, config: SequenceTutorConfig) -> None:
        if config.run is None:
            raise ValueError("call SequenceTutorConfig.tutor(run) before building")
        self.run_config: RunConfig = config.run
        run, run_id = config.run, uuid.uuid4().hex[:12]
        config = self.config = config.copy(copy_frozen=False)  # RLlib hands it over frozen
        config.run_id = run_id
        config.num_env_runners = 0  # start_actors does it
        config.freeze()
        check_resources(run)
        self.prior = starting_prior(run)
        self.directory = Location(config.directory or self.logdir)
        self.prior_reference = ray.put(prior_parts(self.prior))
        self.board = start_board(run_id, self.prior_reference)
        if run.learner.algorithm != "g":  # all others start with the prior as their policy
            publish_prior(self.board, self.prior)
        record = record_of(run, self.directory).uri
        self.shards = start_shards(run, record, self.prior.encoding)
        # In synchronous mode a slow shard is waited for: going on without it isn't repeatable.
        patience = {"patience_s": 120.0} if run.mode == "synchronous" else {}
        self.replay = ReplayClient(self.shards, **patience)
        # without actors there is nothing to score
        least, most = (run.scorers.least, run.scorers.count) if run.actors.count else (0, 0)
        self.scorers: ScorerPool[ScoreReport] = ScorerPool(
            start_scorers(run, self.shards, least, most, self.prior.encoding)
        )
        self._seconds_per_episode = math.inf
        self._nothing_to_learn = False
        self.tally = Tally()
        domain = domain_of(run.encoding).name
        self.invalid = InvalidWatch(worth_of_invalid(run.reward, domain))
        self.exporter = RunExporter(run, self.directory.name, run_id)
        self.last_metrics = Metrics()
        self.trainable_rows = 0  # of the replay, as of the last tick
        self.saves_itself = True
        learner = run.learner
        self.rate = ReplayRatio(
            run.replay.ratio,
            run.replay.min_rows,
            sample_rows=learner.batch * learner.count * learner.updates_per_call,
            insert_rows=run.actors.largest_batch,
        )
        super().setup(config)
        start_actors(self.env_runner_group, run.actors.least)
        self.scaler = ActorScaler(self.env_runner_group, run.actors.least, run.actors.count)
        self.learning = LearnerCalls(self.learner_group)
        if learner.algorithm == "g":
            self.learning.each(publish_from_first)

    # -- the control loop -------------------------------------------------------------------

    def training_step(self) -> None:
        """One pass of the loop; RLlib repeats it until the iteration's time is over."""
        if self.run_config.mode == "synchronous":
            self._round()
        else:
            self._generate()
            self._ask_for_scorers()
            self.scorers.dispatch(self.budget_left())
            self._take_scores()
            if not self._keep_learning():
                self._wait_for_news()

    def step(self) -> dict[str, Any]:
        """One iteration for `train()` and Tune: RLlib's results, and ours under "tutor"; Tune
        ends the trial when the budget is used."""
        results: dict[str, Any] = super().step()
        before = self.last_metrics.elapsed_s
        self.last_metrics = self._tick()
        seconds = self.last_metrics.elapsed_s - before
        if not self.out_of_budget():  # after that actors have nothing to do
            self.scaler.look(self.last_metrics, seconds, self.scorers.full)
        done = self.finished()
        if done and self.saves_itself:
            self.drain(patience_s(self.run_config))
            self.save_run()
            self.saves_itself = False  # the next time there is nothing new
        return results | {"tutor": asdict(self.last_metrics), "done": done}

    def learners_are_there(self) -> bool:
        """Whether they have started. Raises what kept them from it."""
        group = self.learner_group
        return group.are_there() if isinstance(group, PendingLearnerGroup) else True

    def finished(self) -> bool:
        """Whether the budget is used, and the updates are made that its scores have earned, unless
        a limit of [stop] on updates or seconds came first."""
        stop, tally = self.run_config.stop, self.tally
        return self.out_of_budget() and (
            (stop.updates is not None and tally.updates >= stop.updates)
            or (stop.seconds is not None and tally.elapsed_s >= stop.seconds)
            or self.updates_owed() + self.learning.updates == 0
        )

    def updates_owed(self) -> int:
        """Updates to make where nothing more is scored, besides those under way, until the samples
        are drawn that the scores have earned; see `ReplayRatio`. Synchronous rounds learn by
        themselves, and without actors there is no ratio to keep."""
        run, tally = self.run_config, self.tally
        if run.mode == "synchronous" or not run.actors.count or not self.trainable_rows:
            return 0
        rows = run.learner.batch * run.learner.count
        return self.rate.owed(tally.inserted, tally.sampled + self.learning.updates * rows, rows)

    def out_of_budget(self) -> bool:
        """Whether a limit of [stop] is reached: nothing new is generated then."""
        return bool(self.limit_reached())

    def limit_reached(self) -> str:
        """The limit of [stop] that is reached, such as "stop.scores"; "" while there is none."""
        t = self.tally
        return self.run_config.stop.reached(t.scores_used, t.updates, t.elapsed_s, t.sequences)

    def budget_left(self) -> int | None:
        """Distinct valid sequences that may still be scored; None where that isn't limited."""
        stop = self.run_config.stop
        return None if stop.scores is None else max(0, stop.scores - self.tally.scores_used)

    def _round(self) -> None:
        """Synchronous: everyone generates, all is scored, stored in order, learned from."""
        run, tally, started = self.run_config, self.tally, time.perf_counter()
        generated, scored = generate_and_score(
            self.env_runner_group,
            self.scorers.fleet.processes,
            range(1, run.actors.count + 1),
            tally.rounds,
            self.budget_left(),
        )
        for report in generated:
            tally.add_generated(report)
        for score_report in scored:
            self._count(score_report)
        if tally.inserted >= run.replay.min_rows or not run.actors.count:
            step = run.learner.updates_per_call
            for first in range(0, run.updates_per_iteration, step):
                self._learn(min(step, run.updates_per_iteration - first))
                self._take_learned(None)
        tally.waited_s += time.perf_counter() - started
        tally.rounds += 1

    def _generate(self) -> None:
        """Take finished batches; ask for more unless scorers or learner are behind."""
        group, tally = self.env_runner_group, self.tally
        batch = self.run_config.actors.largest_batch
        under_way = self.scorers.waiting + self.scorers.scoring
        may_insert = self.rate.may_insert(tally.inserted + under_way, tally.sampled, batch)
        may_insert = may_insert or self._nothing_to_learn  # the learner has to wait for actors
        if may_insert and not self.scorers.full and not self.out_of_budget():
            results = group.foreach_env_runner_async_fetch_ready(
                "sample", tag="sample", mark_healthy=True, return_actor_ids=True
            )
        else:
            results = group.fetch_ready_async_reqs(tags="sample", mark_healthy=True)
        for _, (report, reference) in results:
            tally.add_generated(report)
            self.scorers.put(EpisodeSlice(reference[0], 0, report.rows))
            self._seconds_per_episode = report.seconds / report.rows

    def _ask_for_scorers(self) -> None:
        """As many as keep up with the actors, where the present ones don't."""
        generated_per_s = self.env_runner_group.num_remote_env_runners() / self._seconds_per_episode
        busy = generated_per_s * self.scorers.batch_size.seconds_per_row
        self.scorers.fleet.want(math.ceil(SPARE_SCORERS * busy) if self.scorers.full else 0)

    def _take_scores(self, timeout_s: float = 0.0) -> None:
        for report in self.scorers.collect(timeout_s):
            self._count(report)

    def _count(self, report: ScoreReport) -> None:
        """Raises BrokenRewardError for a reward that can score nothing: better now than later."""
        self.tally.add_scored(report)
        self.invalid.add(report.valid + report.failed, report.rows)
        if not self.tally.valid and self.tally.failed >= FAILED_AT_FIRST:
            raise BrokenRewardError(
                f"the reward failed on all of the first {self.tally.failed} valid sequences, for "
                f"example: {self.tally.error}; when it is mended, --resume tries them again"
            )

    def _keep_learning(self) -> bool:
        """Count what the learner has done and give it more where it may have more. Returns whether
        there was anything."""
        news = self._take_learned(0.0)
        learner, stop, tally = self.run_config.learner, self.run_config.stop, self.tally
        updates = learner.updates_per_call
        if stop.updates is not None:
            updates = min(updates, stop.updates - tally.updates - self.learning.updates)
        if self.out_of_budget():
            updates = min(updates, self.updates_owed())
        if updates < 1 or self.learning.full or not self.learners_are_there():
            return news
        rows = learner.batch * learner.count
        sampled = tally.sampled + self.learning.updates * rows
        # without actors there is no ratio to keep
        if self.run_config.actors.count and not self.rate.may_sample(
            tally.inserted, sampled, updates * rows
        ):
            return news
        return self._learn(updates) or news

    def _learn(self, updates: int) -> bool:
        """Begin `updates` updates on as many batches per learner, and then new weights on the
        board. Returns False where there is nothing to learn from yet, as no score has succeeded;
        raises EmptyReplayError where there never will be."""
        run, started = self.run_config, time.perf_counter()
        draw = run.learner.batch, self._sample_seed(), updates * run.learner.count
        try:
            if run.mode == "synchronous":
                self.replay.stats()  # how much each shard has, so how often it is drawn from
                batches = [reference for _, reference in self.replay.sample(*draw)]
            else:  # that's known as of the last tick; shards may take their time to spell anew
                batches = self.replay.start_sampling(*draw)
        except EmptyReplayError:
            if not run.actors.count:
                raise
            self._nothing_to_learn = True
            return False
        self._nothing_to_learn = False
        self.learning.start(batches)
        self.tally.replay_s += time.perf_counter() - started
        return True

    def _take_learned(self, timeout_s: float | None) -> bool:
        """Count the updates that are done; None waits for all under way, so that networks and
        counts belong together. Returns whether there were any."""
        reports = self.learning.finished(timeout_s)
        for report in reports:
            self.tally.add_learned(report)
        return bool(reports)

    def _sample_seed(self) -> int:
        """Depends on the run's seed and the updates so far, those under way included, alone."""
        updates = self.tally.updates + self.learning.updates
        sequence = np.random.SeedSequence([self.run_config.seed, updates])
        return int(sequence.generate_state(1)[0])

    def _wait_for_news(self) -> None:
        started = time.perf_counter()
        if self.scorers.scoring:
            self._take_scores(IDLE_WAIT_S)
        elif self.learning.updates:
            self._take_learned(IDLE_WAIT_S)
        else:
            time.sleep(IDLE_WAIT_S / 5)
        self.tally.waited_s += time.perf_counter() - started

    def restore_env_runners(self, env_runner_group: Any) -> list[int]:
        """Let restarted actors back in; they fetch weights from the board by themselves."""
        return list(env_runner_group.probe_unhealthy_env_runners())

    # -- what others ask ----------------------------------------------------------------------

    def _tick(self) -> Metrics:
        """Metrics since the last call, exported."""
        shards, scorers, tally = self.replay.stats(), self.scorers, self.tally
        stats = combine(shards)
        self.invalid.look(stats)
        self.trainable_rows = stats.trainable_rows
        # synchronous rounds wait for every scorer, and keep the replay ratio by themselves
        synchronous = self.run_config.mode == "synchronous"
        paced = not synchronous and self.run_config.actors.count > 0
        balance = self.rate.balance_share(tally.inserted, tally.sampled) if paced else math.nan
        metrics = tally.tick(
            invalid_reward=self.invalid.value,
            replay_ratio=self.rate.achieved(tally.inserted, tally.sampled),
            replay_balance=balance,
            actors_alive=self.env_runner_group.num_healthy_remote_workers(),
            scorers_up=len(scorers.fleet) if synchronous else scorers.fleet.up,
            shards_alive=sum(shard.live for shard in shards),
            **stats_gauges(stats),
            **scorer_gauges(scorers),
        )
        self.exporter.export(tally)
        return metrics

    def drain(self, timeout: float = 60.0) -> None:
        """Let what is being scored finish and reach the record and the metrics; what no scorer has
        yet costs nothing and is dropped."""
        self.scorers.drop_waiting()
        deadline = time.monotonic() + timeout
        while self.scorers.scoring and time.monotonic() < deadline:
            self._take_scores(IDLE_WAIT_S)
            self.scorers.drop_waiting()  # what came back from a lost scorer
        self._take_learned(None)
        self.replay.flush()
        self.last_metrics = self._tick()

    def policy(self) -> Prior:
        """The newest policy, as a prior that can be saved, sampled or tuned further."""
        version, reference = ray.get(self.board.newest.remote(-1))
        card = {"tuned_from": self.run_config.prior, "updates": version}
        weights = ray.get(reference[0])
        network = build_prior(self.prior.metadata(), as_tensors(weights)).network
        base = self.prior.network if self.run_config.learner.algorithm == "g" else None
        return Prior(self.prior.encoding, network, card, base)

    def save_run(self) -> Location:
        """Leave in the run's directory what `sample`, `evaluate` and `--resume` take: the config,
        the policy, the best sequences and a checkpoint. Returns the directory. Raises OSError."""
        (self.directory / "config.toml").write(to_toml(self.run_config))
        self.save_run_checkpoint()
        self.policy().save(self.directory / "policy")
        write_top(self.replay.top(TOP_ROWS), self.directory / "top.csv")
        return self.directory

    def save_run_checkpoint(self) -> Location:
        """A checkpoint in the run directory; the record is its own."""
        root, keep = self.directory / "checkpoints", self.run_config.checkpoint.keep
        return checkpoint.save(root, self._snapshot(), keep)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """What Tune asks for: the same content, no pickles."""
        checkpoint.write(checkpoint_dir, self._snapshot())

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Go on from a checkpoint; the shards have reloaded the record by themselves."""
        saved = checkpoint.read(checkpoint_dir)
        restore(saved, self.learning, self.tally)
        self._take_up_record(saved.live_rows)

    def start_anew(self) -> None:
        """Go on with a record whose run ended before its first checkpoint."""
        self._take_up_record([0] * self.run_config.replay.shards)

    def _take_up_record(self, live_rows: list[int]) -> None:
        synchronous = self.run_config.mode == "synchronous"
        stats = take_up_record(self.replay, self.tally, live_rows, synchronous)
        self.trainable_rows = 0 if synchronous else stats.trainable_rows

    def _snapshot(self) -> checkpoint.Checkpoint:
        self._take_learned(None)
        self.replay.flush()
        config = to_toml(self.run_config)
        return take_snapshot(self.learning, self.replay, self.tally, config)

    def cleanup(self) -> None:
        try:
            self.replay.flush()
        finally:
            super().cleanup()
            self.scorers.kill()
            for process in (*self.shards, self.board):
                ray.kill(process)
