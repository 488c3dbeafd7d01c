"""The algorithm: actors generate, scorers judge, replay shards remember, the learner updates.

The driver only passes references and reports between Ray actors:

    actors --refs--> scorers --rows--> replay shards --refs--> learner --weights--> board --> actors

Asynchronous mode keeps everybody busy and holds the replay ratio by pacing actors and learner.
Synchronous mode does the same work in rounds, in a fixed order, and is repeatable bit for bit.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import ray
from ray.rllib.algorithms.algorithm import Algorithm

from sequence_tutor.distributed import checkpoint
from sequence_tutor.distributed.algorithm_config import SequenceTutorConfig
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.learner import KLControlLearner
from sequence_tutor.distributed.metrics import Metrics, Tally
from sequence_tutor.distributed.replay.answers import combine
from sequence_tutor.distributed.replay.rate import ReplayRatio
from sequence_tutor.distributed.replay.sampler import (
    FreshMix,
    RankSampler,
    RowSampler,
    UniformSampler,
)
from sequence_tutor.distributed.replay.sharded import ShardedReplay, create_shards
from sequence_tutor.distributed.resources import check_resources
from sequence_tutor.distributed.respell import Respeller
from sequence_tutor.distributed.scoring import ScorerPool
from sequence_tutor.distributed.weights import WeightBoard, board_name, prior_parts, shard_name
from sequence_tutor.policies.prior import Prior, as_tensors, build_prior, load_prior
from sequence_tutor.rewards.domains import domain_of

T = TypeVar("T")

# Seconds the driver waits for news when it has nothing to hand on.
IDLE_WAIT_S = 0.05


class SequenceTutor(Algorithm):  # type: ignore[misc]
    """Distributed KL-controlled fine-tuning of a sequence model."""

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
        config.freeze()
        check_resources(run)
        self.prior = starting_prior(run)
        self.directory = Path(config.directory or self.logdir)
        parts = prior_parts(self.prior)
        # Outside any placement group: under Tune its bundles have no room for these.
        place = {"scheduling_strategy": "DEFAULT"}
        self.board = (
            ray.remote(WeightBoard)
            .options(name=board_name(run_id), num_cpus=0, **place)
            .remote(parts)
        )
        replay = run.replay
        sampler: RowSampler = (
            RankSampler(replay.top, replay.rank_k)
            if replay.sampling == "rank"
            else UniformSampler()
        )
        self.shards = create_shards(
            replay.shards,
            self.directory / "scores",
            sampler=FreshMix(sampler, replay.fresh, replay.fresh_window),
            rewrite=Respeller(self.prior.encoding, domain_of(run.encoding)),
            rewrite_share=replay.rewrite,
            name=shard_name(run_id),
        )
        # In synchronous mode a slow shard is waited for: going on without it isn't repeatable.
        patience = {"patience_s": 120.0} if run.mode == "synchronous" else {}
        self.replay = ShardedReplay(self.shards, **patience)
        self.scorers = ScorerPool(run, run_id)
        self.tally = Tally()
        self.last_metrics = Metrics()
        learner = run.learner
        self.rate = ReplayRatio(
            replay.ratio,
            replay.min_rows,
            sample_rows=learner.batch * learner.count * learner.updates_per_call,
            insert_rows=run.actors.batch,
        )
        super().setup(config)
        self._each_learner(_publish_from_first)

    # -- the control loop -------------------------------------------------------------------

    def training_step(self) -> None:
        """One pass of the loop; RLlib repeats it until the iteration's time is over."""
        if self.run_config.mode == "synchronous":
            self._round()
        else:
            self._generate()
            self.scorers.dispatch()
            self._take_scores()
            if not self._learn_if_allowed():
                self._wait_for_news()

    def step(self) -> dict[str, Any]:
        """One iteration for `train()` and Tune: RLlib's results, and ours under "tutor"; Tune
        ends the trial when the budget is used."""
        results: dict[str, Any] = super().step()
        self.last_metrics = self._tick()
        return results | {"tutor": asdict(self.last_metrics), "done": self.out_of_budget()}

    def out_of_budget(self) -> bool:
        """Whether a limit of [stop] is reached."""
        stop, tally = self.run_config.stop, self.tally
        return (
            (stop.scores is not None and tally.scores_used >= stop.scores)
            or (stop.updates is not None and tally.updates >= stop.updates)
            or (stop.seconds is not None and time.monotonic() - tally.started >= stop.seconds)
        )

    def _round(self) -> None:
        """Synchronous: everyone generates, all is scored, stored in order, learned from."""
        run, tally = self.run_config, self.tally
        results = self.env_runner_group.foreach_env_runner(
            "sample", kwargs={"iteration": tally.rounds}, local_env_runner=False
        )
        for report, _ in results:
            tally.add_generated(report)
        for score_report in self.scorers.score_in_order([batch[0] for _, batch in results]):
            tally.add_scored(score_report)
        if tally.inserted >= run.replay.min_rows:
            step = run.learner.updates_per_call
            for first in range(0, run.updates_per_iteration, step):
                self._learn(min(step, run.updates_per_iteration - first))
        tally.rounds += 1

    def _generate(self) -> None:
        """Take finished batches; ask for more unless scorers or learner are behind."""
        group, tally, batch = self.env_runner_group, self.tally, self.run_config.actors.batch
        under_way = (self.scorers.waiting + self.scorers.scoring) * batch
        may_insert = self.rate.may_insert(tally.inserted + under_way, tally.sampled, batch)
        if may_insert and not self.scorers.full and not self.out_of_budget():
            results = group.foreach_env_runner_async_fetch_ready(
                "sample", tag="sample", mark_healthy=True, return_actor_ids=True
            )
        else:
            results = group.fetch_ready_async_reqs(tags="sample", mark_healthy=True)
        for _, (report, reference) in results:
            tally.add_generated(report)
            self.scorers.put(reference[0])

    def _take_scores(self, timeout_s: float = 0.0) -> None:
        for report in self.scorers.collect(timeout_s):
            self.tally.add_scored(report)

    def _learn_if_allowed(self) -> bool:
        """Update while the replay ratio allows it. Returns whether it did."""
        learner, tally = self.run_config.learner, self.tally
        rows = learner.batch * learner.count * learner.updates_per_call
        if not self.rate.may_sample(tally.inserted, tally.sampled, rows):
            return False
        self._learn(learner.updates_per_call)
        return True

    def _learn(self, updates: int) -> None:
        """`updates` updates on as many batches per learner, and new weights on the board."""
        learner = self.run_config.learner
        started = time.perf_counter()
        self.replay.stats()  # how much each shard has, so how often it is drawn from
        sampled = self.replay.sample(learner.batch, self._sample_seed(), updates * learner.count)
        references = [reference for _, reference in sampled]
        self.tally.replay_s += time.perf_counter() - started
        results = self.learner_group.update(batch_refs=references)
        # A learner that failed before is silently left out of later results.
        if len(results) != max(1, learner.count):
            raise RuntimeError("a learner died; the run ends, its record and checkpoints remain")
        rows = sum(report.rows for report in results)
        self.tally.add_learned(replace(results[0], rows=rows))

    def _sample_seed(self) -> int:
        """Depends on the run's seed and the updates so far alone."""
        sequence = np.random.SeedSequence([self.run_config.seed, self.tally.updates])
        return int(sequence.generate_state(1)[0])

    def _wait_for_news(self) -> None:
        started = time.perf_counter()
        if self.scorers.scoring:
            self._take_scores(IDLE_WAIT_S)
        else:
            time.sleep(IDLE_WAIT_S / 5)
        self.tally.waited_s += time.perf_counter() - started

    def restore_env_runners(self, env_runner_group: Any) -> list[int]:
        """Let restarted actors back in; they fetch weights from the board by themselves."""
        return list(env_runner_group.probe_unhealthy_env_runners())

    # -- what others ask ----------------------------------------------------------------------

    def _tick(self) -> Metrics:
        """Metrics since the last call."""
        stats = combine(self.replay.stats())
        best = stats.best[:10]
        return self.tally.tick(
            reward_top10=float(best.mean()) if len(best) else float("nan"),
            replay_rows=stats.rows,
            waiting_to_be_scored=self.scorers.waiting,
            scoring=self.scorers.scoring,
            lost_batches=self.scorers.lost_batches,
            actors_alive=self.env_runner_group.num_healthy_remote_workers(),
        )

    def drain(self, timeout: float = 60.0) -> None:
        """Let what is being scored finish and reach the record and the metrics."""
        deadline = time.monotonic() + timeout
        while (self.scorers.waiting or self.scorers.scoring) and time.monotonic() < deadline:
            self.scorers.dispatch()
            self._take_scores(IDLE_WAIT_S)
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

    def save_run_checkpoint(self) -> Path:
        """A checkpoint of learner and counters in the run directory; the record is its own."""
        self.replay.flush()
        root, keep = self.directory / "checkpoints", self.run_config.checkpoint.keep
        return checkpoint.save(root, self._learner_tensors(), self.tally.counters(), keep)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """What Tune asks for: the same content, no pickles."""
        self.replay.flush()
        checkpoint.write(Path(checkpoint_dir), self._learner_tensors(), self.tally.counters())

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Go on from a checkpoint; the shards have reloaded the record by themselves."""
        tensors, counters = checkpoint.read(Path(checkpoint_dir))
        reference = ray.put(tensors)
        updates = counters["updates"]
        self._each_learner(lambda learner: learner.import_tensors(ray.get(reference), updates))
        self._each_learner(_publish_from_first)
        self.tally.restore(counters)
        # The record may be ahead of the checkpoint; what it holds has been paid for.
        self.tally.scores_used = combine(self.replay.stats()).valid_rows

    def _learner_tensors(self) -> dict[str, np.ndarray]:
        return self._each_learner(lambda learner: learner.export_tensors())[0]

    def _each_learner(self, call: Callable[[KLControlLearner], T]) -> list[T]:
        """Call something on every learner; unlike RLlib's, raises what they raise."""
        results = self.learner_group.foreach_learner(call).result_or_errors
        for result in results:
            if not result.ok:
                raise result.get()
        return [result.get() for result in results]

    def cleanup(self) -> None:
        self.replay.flush()
        super().cleanup()
        self.scorers.kill()
        for process in (*self.shards, self.board):
            ray.kill(process)


def starting_prior(run: RunConfig) -> Prior:
    """The prior of a run, its episodes as long as the run wants them. Raises ValueError where it
    can't start the run."""
    prior = load_prior(run.prior)
    if prior.encoding.name != run.encoding:
        raise ValueError(
            f"prior {run.prior} encodes {prior.encoding.name}, but encoding = {run.encoding!r}"
        )
    if prior.base is not None:
        raise ValueError(
            f"{run.prior} was tuned with algorithm 'g', which leaves two networks; start from "
            "its own prior, or tune with another algorithm"
        )
    if run.max_length is not None:
        prior.encoding.max_length = run.max_length
    return prior


def _publish_from_first(learner: KLControlLearner) -> None:
    if learner.rank == 0:
        learner.publish()
