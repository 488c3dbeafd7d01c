"""The local engine: the parts of a run as objects of this process, driven in synchronous rounds.

There is no Ray and no other process, so breakpoints, profilers and notebooks work everywhere, also
in a user's reward. The same seed gives the same updates and record as synchronous mode on Ray.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from rich.console import Console

from sequence_tutor.distributed.bulk.assemble import Outputs
from sequence_tutor.distributed.bulk.estimate import Estimate
from sequence_tutor.distributed.bulk.lines import Batch
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, synchronous
from sequence_tutor.distributed.generating.generator import Generator, kl_every_of
from sequence_tutor.distributed.generating.proposals import Proposals
from sequence_tutor.distributed.generating.proposers import build_proposer
from sequence_tutor.distributed.generating.shares import batch_sizes
from sequence_tutor.distributed.given_parts import lead_starts
from sequence_tutor.distributed.learning.population import Population, build_updater
from sequence_tutor.distributed.learning.updater import Updater, build_model
from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.replay.record.store import PartStore, record_of
from sequence_tutor.distributed.replay.scorer_client import ScorerClient
from sequence_tutor.distributed.replay.shard import ReplayShard
from sequence_tutor.distributed.replay.shard_calls import LocalShardCalls
from sequence_tutor.distributed.replay.shard_settings import shard_settings
from sequence_tutor.distributed.replay.worth.diversity import diversity_of
from sequence_tutor.distributed.run_directory.starting_prior import starting_prior
from sequence_tutor.distributed.scoring.attachments import AttachmentStore, attachments_of
from sequence_tutor.distributed.scoring.batch_size import BatchSize
from sequence_tutor.distributed.scoring.earlier_values import EarlierValues, earlier_values
from sequence_tutor.distributed.scoring.lines import LinesReport, score_lines
from sequence_tutor.distributed.scoring.scorer import Scorer, Work
from sequence_tutor.distributed.screening.screen import build_screen, equal_slices
from sequence_tutor.distributed.stop_signal import StopRequest
from sequence_tutor.distributed.training import Training, shares_of_budget
from sequence_tutor.distributed.types import (
    Generated,
    LearnerReport,
    RoundReport,
    Scored,
    ScoreReport,
    TrainingBatch,
    Weights,
)
from sequence_tutor.policies.encodings.base import Encoding
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.kernels.device import choose_repeatable_kernels
from sequence_tutor.rewards.in_process import INTERRUPTED, LocalReward

# Names of the actor, of the scorer and of other proposers in the record's rows.
ACTOR, SCORER, LOCAL = "actor-{worker}-local", "scorer-local", "local"


class LocalEngine:
    """Makes runs in this process; `optimize --local` uses it instead of Ray."""

    # modules that take seconds to import; imported in the background while files are checked
    heavy = ("sequence_tutor.policies.prior", "sequence_tutor.distributed.metrics.writer")
    # errors that its parts raise if a run can't go on
    errors: tuple[type[Exception], ...] = (RuntimeError, OSError)

    def prepare(self, run: RunConfig, scoring_only: bool = False) -> RunConfig:
        """The run in synchronous mode, the only one here; scoring has none. Raises ConfigError."""
        if scoring_only:
            return run
        if run.learner.count > 1:
            raise ConfigError("a local run has one learner: set learner.count = 1")
        try:
            return synchronous(run)
        except ConfigError as error:
            raise ConfigError(f"a local run is synchronous: {error}") from error

    def reward(self, run: RunConfig) -> LocalReward:
        """The reward in this process, for checks and the report."""
        return LocalReward(run.reward, run.domain.name, [os.getcwd()])

    def enter(self, run: RunConfig, console: Console, stop: StopRequest) -> None:
        """Do nothing: there is no process to start."""

    def build(self, run: RunConfig, out: Location) -> LocalRun:
        return LocalRun(run, out)

    def line_scorers(
        self, run: RunConfig, outputs: Outputs, console: Console, stop: StopRequest
    ) -> LocalLineScorers:
        return LocalLineScorers(run, outputs)


def open_replay(run: RunConfig, record: Location, encoding: Encoding | None) -> ReplayClient:
    """The shards of a record in this process; they reload the rows on record."""
    PartStore.make(record.uri)
    settings, count = shard_settings(run, encoding), run.replay.shards
    shards = [ReplayShard(record.uri, settings, shard, count) for shard in range(count)]
    return ReplayClient(LocalShardCalls(shards))


class LocalScorer(Scorer):
    """Scores in this process. If the reward is interrupted, the finished scores go on record."""

    def __init__(
        self,
        run: RunConfig,
        replay: ReplayClient,
        files: AttachmentStore,
        encoding: Encoding | None = None,
        earlier: EarlierValues | None = None,
    ) -> None:
        self._local = LocalReward(run.reward, run.domain.name, [os.getcwd()])
        self._shards = replay
        client = ScorerClient(replay, SCORER)
        # lines of a file aren't learned from
        diversity = None if encoding is None else diversity_of(run)
        super().__init__(
            self._local.identify, self._local, client, encoding, files, diversity, earlier
        )

    def score(self, work: Work) -> Scored | None:
        """As `Scorer.score`. Raises the exception that interrupted the reward, such as
        KeyboardInterrupt."""
        scored = super().score(work)
        if self._local.interrupt is not None:
            if scored is not None:
                done = [row for row, error in enumerate(scored.errors) if error != INTERRUPTED]
                self._shards.add(scored.select(np.array(done, np.int64)))
                self._shards.flush()
            raise self._local.interrupt
        return scored


class LocalLearning:
    """Makes the updates of a run in this process; see `UpdateCalls`.

    weights: the number of updates and the policy's weights, as published last.
    """

    updates, full = 0, False

    def __init__(self, updater: Updater | Population, threads: int) -> None:
        self._updater, self._threads = updater, threads
        self._reports: list[LearnerReport] = []
        self.publish()

    def start(self, batches: Sequence[TrainingBatch], temperature: float) -> None:
        torch.set_num_threads(self._threads)
        self._reports.append(self._updater.update(batches, temperature))
        self.publish()

    def finished(self, timeout_s: float | None = 0.0) -> list[LearnerReport]:
        reports, self._reports = self._reports, []
        return reports

    def export_tensors(self) -> Weights:
        return self._updater.export_tensors()

    def import_tensors(self, tensors: Weights, updates: int) -> None:
        self._updater.import_tensors(tensors, updates)
        self.publish()

    def publish(self) -> None:
        self.weights = self._updater.updates, self._updater.policy_weights()


class LocalRun(Training):
    """A run whose parts are objects of this process."""

    def __init__(self, run: RunConfig, out: Location) -> None:
        self._before = _TorchState()
        choose_repeatable_kernels()
        prior = starting_prior(run)
        self.begin(run, prior, out)
        self.replay = open_replay(run, record_of(run.replay, out), prior.encoding)
        files = attachments_of(run.replay, out, run.reward.identity())
        self._scorer = LocalScorer(run, self.replay, files, prior.encoding, earlier_values(out))
        corrects = run.learner.algorithm == "g"
        self._generators = [
            Generator(
                deepcopy(prior),
                run.actors,
                run.seed,
                worker,
                corrects,
                kl_every_of(run.learner),
                len(run.learner.population),
                lead_starts(run, prior.encoding),
            )
            for worker in range(1, run.actors.count + 1)
        ]
        domain, encoding = run.domain, prior.encoding
        self._proposals = [
            Proposals(
                name,
                build_proposer(name, config, domain),
                domain,
                encoding,
                self.replay,
                run.seed,
                worker,
            )
            for name, config in run.proposers.all.items()
            for worker in range(1, config.processes + 1)
        ]
        self._screen = build_screen(run, prior, self.replay, os.getcwd())
        constraint = prior.encoding.constraint
        model = build_model(deepcopy(prior.network), run.learner, run.seed, constraint)
        updater = build_updater(model, run.learner, run.seed, torch.device("cpu"))
        self.learning = LocalLearning(updater, run.learner.threads)

    def train(self) -> None:
        """One round."""
        self.round()
        self.last_metrics = self.read_metrics()

    def generate_and_score(self) -> RoundReport:
        """A batch of each actor and proposer for this round, screened, scored and stored in
        order."""
        run, iteration = self.run_config, self.tally.rounds
        torch.set_num_threads(run.actors.threads)
        sizes = batch_sizes(run, self.replay)
        generated, batches = [], []
        for worker, generator in enumerate(self._generators, start=1):
            generator.take_weights(*self.learning.weights)
            actor = ACTOR.format(worker=worker)
            report, batch = generator.sample([iteration], actor, sizes.policy)
            generated.append(report)
            batches.append(batch)
        for proposals in self._proposals:
            report, proposed = proposals.make(sizes.others[proposals.name], [iteration], LOCAL)
            generated.append(report)
            batches += [] if proposed is None else [proposed]
        screened = []
        if self._screen is not None and batches:
            screen_report, chosen = self._screen.choose(batches, [iteration], LOCAL)
            screened, batches = [screen_report], equal_slices(chosen, run.scorers.count)
        return RoundReport(generated, self._score(batches), screened)

    def _score(self, batches: list[Generated]) -> list[ScoreReport]:
        """Score batches and store them, in their order."""
        shares = shares_of_budget([len(batch) for batch in batches], self.budget_left())
        works = [
            self._scorer.prepare(batch, share) for batch, share in zip(batches, shares, strict=True)
        ]
        for work in works:
            self._scorer.claim(work)
        scored: list[Scored | None] = []
        try:
            for work in works:
                scored.append(self._scorer.score(work))
        except BaseException:  # batches that were scored before the one that is interrupted
            for rows in filter(None, scored):
                self.replay.add(rows)
            self.replay.flush()
            raise
        return [self._scorer.store(w, rows) for w, rows in zip(works, scored, strict=True)]

    def newest_weights(self) -> tuple[int, Weights]:
        """The version and the policy's weights that were published last."""
        learning: LocalLearning = self.learning
        return learning.weights

    def part_gauges(self) -> dict[str, Any]:
        """Fields of `Metrics` about actors and scorers."""
        return {
            "actors_alive": len(self._generators),
            "proposers_up": len(self._proposals),
            "screens_up": int(self._screen is not None),
            "scorers_up": 1,
            "scorers_wanted": 1,
            "waiting_to_be_scored": 0,
            "scoring": 0,
            "lost_batches": 0,
            "retried_batches": 0,
        }

    def learners_are_there(self) -> bool:
        return True

    def drain(self, timeout: float = 0.0) -> None:
        """Flush the record and read the last metrics."""
        self.replay.flush()
        self.last_metrics = self.read_metrics()

    def stop(self) -> None:
        """Flush the record and restore the caller's PyTorch settings."""
        self.replay.flush()
        self._before.restore()


class LocalLineScorers:
    """Scores the lines of a file, one batch after the other; see `LineScorers`."""

    def __init__(self, run: RunConfig, outputs: Outputs) -> None:
        self._replay = open_replay(run, outputs.record, None)
        self._scorer = LocalScorer(run, self._replay, AttachmentStore(outputs.record))
        self.batch_size = BatchSize()

    def reports(
        self, left: Iterator[Batch], directory: str, stop: StopRequest
    ) -> Iterator[LinesReport]:
        for batch in left:
            report = score_lines(self._scorer, SCORER, batch.first, batch.sequences, directory)
            self.batch_size.report(report.rows, report.seconds)
            yield report
            if stop.wanted:
                return

    def tell(self, estimate: Estimate, counts: np.ndarray) -> None:
        """Do nothing: no other process needs the numbers."""

    def flush(self) -> None:
        self._replay.flush()

    def __enter__(self) -> LocalLineScorers:
        return self

    def __exit__(self, *_: object) -> None:
        self._replay.flush()


class _TorchState:
    """PyTorch's settings of this process, to restore for the caller."""

    def __init__(self) -> None:
        self._threads, self._random = torch.get_num_threads(), torch.get_rng_state()
        self._repeatable = torch.get_deterministic_debug_mode()
        self._cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark

    def restore(self) -> None:
        torch.set_num_threads(self._threads)
        torch.set_rng_state(self._random)
        torch.set_deterministic_debug_mode(self._repeatable)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = self._cudnn
