"""The algorithm on Ray: actors generate, scorers score, shards store, the learner updates.

The driver only passes references and reports between Ray actors:

    actors --refs--> scorers --rows--> replay shards --refs--> learner --weights--> board --> actors

Asynchronous mode keeps all of them busy and holds the replay ratio by pacing actors and learner.
Synchronous mode does the same work in rounds, in a fixed order, and is repeatable bit for bit.
"""

from __future__ import annotations

import math
import time
import uuid
from dataclasses import asdict
from typing import Any

import ray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.util.placement_group import get_current_placement_group

from sequence_tutor.distributed.algorithm_config import SequenceTutorConfig
from sequence_tutor.distributed.generating.actor_scaling import ActorScaler
from sequence_tutor.distributed.learning.update_calls import LearnerCalls
from sequence_tutor.distributed.metrics.gauges import scorer_gauges
from sequence_tutor.distributed.metrics.prometheus import RunExporter
from sequence_tutor.distributed.metrics.tally import Metrics
from sequence_tutor.distributed.packing import is_large, sent
from sequence_tutor.distributed.ray_cluster.background_start import PendingLearnerGroup
from sequence_tutor.distributed.ray_cluster.join import check_resources
from sequence_tutor.distributed.replay.ray_shards import ray_replay
from sequence_tutor.distributed.replay.record.store import record_of
from sequence_tutor.distributed.run_directory import checkpoint
from sequence_tutor.distributed.run_directory.starting_prior import starting_prior
from sequence_tutor.distributed.scoring.attachments import attachments_of
from sequence_tutor.distributed.scoring.earlier_values import has_values
from sequence_tutor.distributed.scoring.pool import ScorerPool
from sequence_tutor.distributed.scoring.task import EpisodeSlice
from sequence_tutor.distributed.search import Part, Search
from sequence_tutor.distributed.start_processes import (
    publish_prior,
    start_actors,
    start_board,
    start_scorers,
    start_shards,
)
from sequence_tutor.distributed.synchronous import generate_and_score
from sequence_tutor.distributed.training import Training, patience_s
from sequence_tutor.distributed.types import POLICY, RoundReport, ScoreReport, Weights
from sequence_tutor.distributed.weight_board import prior_parts
from sequence_tutor.policies.files.storage import Location

# Scorers to ask for, as a multiple of the scorers that the actors keep busy.
SPARE_SCORERS = 1.25
# Seconds the driver waits for a report, after a pass of the loop that found nothing to learn from.
IDLE_WAIT_S = 0.05


class SequenceTutor(Training, Algorithm):  # type: ignore[misc]
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
        run, run_id = config.run, uuid.uuid4().hex[:12]
        config = self.config = config.copy(copy_frozen=False)  # RLlib's copy is frozen
        config.run_id = run_id
        if is_large(run):
            config.packed_run, config.run = sent(run), None
        # Under Tune RLlib must start the actors first, or the learners would take their bundles.
        starts_actors = get_current_placement_group() is None
        if starts_actors:
            config.num_env_runners = 0
        config.freeze()
        check_resources(run)
        self.begin(run, starting_prior(run), Location(config.directory or self.logdir))
        self.prior_reference = ray.put(prior_parts(self.prior))
        self.board = start_board(run_id, self.prior_reference)
        if run.learner.algorithm != "g":  # the policy of all other algorithms starts as the prior
            publish_prior(self.board, self.prior, len(run.learner.population))
        record = record_of(run.replay, self.directory).uri
        self.shards = start_shards(run, record, self.prior.encoding)
        # Synchronous mode waits for a slow shard: a run without it would not be repeatable.
        patience = {"patience_s": 120.0} if run.mode == "synchronous" else {}
        self.replay = ray_replay(self.shards, **patience)
        # a run in which nothing is proposed has nothing to score
        least, most = (run.scorers.least, run.scorers.count) if run.generates else (0, 0)
        files = attachments_of(run.replay, self.directory, run.reward.identity())
        self.scorers: ScorerPool[ScoreReport] = ScorerPool(
            start_scorers(
                run,
                self.shards,
                least,
                most,
                files,
                self.prior.encoding,
                earlier=self.directory.uri if has_values(self.directory) else None,
            )
        )
        self.search = None
        if run.searches:
            self.search = Search(run, run_id, self.shards, self.replay, self.prior.encoding)
        self._seconds_per_row = math.inf
        self.exporter = RunExporter(run, self.directory.name, run_id)
        self.saves_itself = True
        super().setup(config)
        if starts_actors:
            start_actors(self.env_runner_group, run.actors.least)
        self.scaler = ActorScaler(self.env_runner_group, run.actors.least, run.actors.count)
        self.learning = LearnerCalls(self.learner_group)
        if run.learner.algorithm == "g":
            self.learning.publish()

    # -- the control loop -------------------------------------------------------------------

    def training_step(self) -> None:
        """One pass of the loop; RLlib repeats it until the iteration's time is over."""
        if self.run_config.mode == "synchronous":
            self.round()
        else:
            self._generate()
            self._ask_for_scorers()
            self.scorers.dispatch(self.budget_left())
            self._take_scores()
            if not self._keep_learning():
                self._wait_for_report()

    def step(self) -> dict[str, Any]:
        """One iteration for `train()` and Tune. Returns RLlib's results, with our metrics under
        "tutor" and, for Tune, whether the run is finished under "done"."""
        results: dict[str, Any] = super().step()
        before = self.last_metrics.elapsed_s
        self.last_metrics = self.read_metrics()
        seconds = self.last_metrics.elapsed_s - before
        if not self.out_of_budget():  # afterwards actors have nothing to do
            self.scaler.look(self.last_metrics, seconds, self.scorers.full)
        done = self.finished()
        if done and self.saves_itself:
            self.drain(patience_s(self.run_config.reward))
            self.save_run()
            self.saves_itself = False  # a later iteration has nothing new to save
        return results | {"tutor": asdict(self.last_metrics), "done": done}

    def learners_are_there(self) -> bool:
        """Whether the learners have started. Raises the error that prevented it."""
        group = self.learner_group
        return group.are_there() if isinstance(group, PendingLearnerGroup) else True

    def _generate(self) -> None:
        """Take finished batches; ask for more unless the scorers or the learner are behind."""
        group, search = self.env_runner_group, self.search
        may_generate = self._may_insert() and not self.scorers.full and not self.out_of_budget()
        if may_generate and (search is None or search.may_propose(POLICY)):
            results = group.foreach_env_runner_async_fetch_ready(
                "sample", tag="sample", mark_healthy=True, return_actor_ids=True
            )
        else:
            results = group.fetch_ready_async_reqs(tags="sample", mark_healthy=True)
        made = [(report, [(refs[0], report.rows)]) for _, (report, refs) in results]
        if search is not None:
            if may_generate:
                search.ask()
            made += search.proposed()
        for report, parts in made:
            self.count_generated(report)
            if search is not None:
                search.offer(report.source, parts)
            if search is None or not search.screens:
                self._put(parts, report.seconds)
        if search is not None and search.screens:
            self._screen(search)

    def _may_insert(self) -> bool:
        """Whether the replay ratio allows another batch."""
        tally, under_way = self.tally, self.scorers.waiting + self.scorers.scoring
        if self.search is not None:
            under_way += self.search.under_way
            if self.search.full:
                return False
        batch = self.run_config.largest_insert
        # the learner may wait for what is generated
        return self._nothing_to_learn or self.rate.may_insert(
            tally.inserted + under_way, tally.sampled, batch
        )

    def _screen(self, search: Search) -> None:
        """Hand what the screens have chosen to the scorers, and give them more candidates."""
        if self.out_of_budget():
            search.drop()
        for report, parts in search.chosen():
            self.count_screened(report)
            self._put(parts, report.seconds)
        if not self.scorers.full:
            search.choose()

    def _put(self, parts: list[Part], seconds: float) -> None:
        """Batches for the scorers, which took `seconds` to make."""
        for reference, rows in parts:
            self.scorers.put(EpisodeSlice(reference, 0, rows))
            self._seconds_per_row = seconds / max(1, rows)

    def _ask_for_scorers(self) -> None:
        """If the scorers are behind, ask for enough of them to keep up with the actors."""
        search = self.search
        makers = self.env_runner_group.num_remote_env_runners()
        if search is not None:
            makers = search.last_processes(makers)
        busy = makers / self._seconds_per_row * self.scorers.batch_size.seconds_per_row
        self.scorers.fleet.want(math.ceil(SPARE_SCORERS * busy) if self.scorers.full else 0)

    def _take_scores(self, timeout_s: float = 0.0) -> None:
        for report in self.scorers.collect(timeout_s):
            self.count_scores(report)

    def _keep_learning(self) -> bool:
        """Count finished updates and start more where the replay ratio allows. Returns whether
        either happened."""
        learned = self.take_learned(0.0)
        learner, stop, tally = self.run_config.learner, self.run_config.stop, self.tally
        updates = learner.updates_per_call
        if stop.updates is not None:
            made = tally.updates - self.updates_before + self.learning.updates
            updates = min(updates, stop.updates - made)
        if self.out_of_budget():
            updates = min(updates, self.updates_owed())
        if updates < 1 or self.learning.full or not self.learners_are_there():
            return learned
        rows = learner.batch * learner.count
        sampled = tally.sampled + self.learning.updates * rows
        # a run in which nothing is proposed has no ratio to keep
        if self.run_config.generates and not self.rate.may_sample(
            tally.inserted, sampled, updates * rows
        ):
            return learned
        return self.learn(updates) or learned

    def _wait_for_report(self) -> None:
        started = time.perf_counter()
        if self.scorers.scoring:
            self._take_scores(IDLE_WAIT_S)
        elif self.learning.updates:
            self.take_learned(IDLE_WAIT_S)
        else:
            time.sleep(IDLE_WAIT_S / 5)
        self.tally.waited_s += time.perf_counter() - started

    def restore_env_runners(self, env_runner_group: Any) -> list[int]:
        """Use restarted actors again; they fetch their weights from the board."""
        return list(env_runner_group.probe_unhealthy_env_runners())

    # -- what `Training` and the callers ask --------------------------------------------------

    def generate_and_score(self) -> RoundReport:
        """A batch of each actor and proposer for this round, screened, scored and stored in
        order."""
        run = self.run_config
        return generate_and_score(
            self.env_runner_group,
            self.search,
            self.scorers.fleet.processes,
            range(1, run.actors.count + 1),
            self.tally.rounds,
            self.budget_left(),
        )

    def newest_weights(self) -> tuple[int, Weights]:
        """The version and the policy's weights on the board."""
        version, reference = ray.get(self.board.newest.remote(-1))
        return version, ray.get(reference[0])

    def part_gauges(self) -> dict[str, Any]:
        """Fields of `Metrics` about actors and scorers."""
        fleet = self.scorers.fleet
        return {
            "actors_alive": self.env_runner_group.num_healthy_remote_workers(),
            **(self.search.gauges() if self.search is not None else {}),
            # a synchronous round waits for every scorer
            "scorers_up": len(fleet) if self.run_config.mode == "synchronous" else fleet.up,
            **scorer_gauges(self.scorers),
            "lost_batches": self.scorers.lost
            + (self.search.lost if self.search is not None else 0),
        }

    def read_metrics(self) -> Metrics:
        """Metrics since the last call; exports them to Prometheus as well."""
        metrics = super().read_metrics()
        self.exporter.export(self.tally)
        return metrics

    def drain(self, timeout: float = 60.0) -> None:
        """Wait at most `timeout` seconds for the scores under way, then for the updates; flush the
        record and read the last metrics. Drops the batches that no scorer has begun."""
        self.scorers.drop_waiting()
        if self.search is not None:
            self.search.drop()
        deadline = time.monotonic() + timeout
        while self.scorers.scoring and time.monotonic() < deadline:
            self._take_scores(IDLE_WAIT_S)
            self.scorers.drop_waiting()  # batches that came back from a lost scorer
        self.take_learned(None)
        self.replay.flush()
        self.last_metrics = self.read_metrics()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """A checkpoint for Tune, with the content of the run directory's and without pickles."""
        checkpoint.write(checkpoint_dir, self.snapshot())

    def cleanup(self) -> None:
        try:
            self.replay.flush()
        finally:
            super().cleanup()
            self.scorers.kill()
            if self.search is not None:
                self.search.kill()
            for process in (*self.shards, self.board):
                ray.kill(process)
