"""A scorer as a Ray actor: batches arrive by reference, rows go straight to the shards.

The reward runs in child processes that may die. A thread renews the claims, so that a long score
isn't taken for a dead scorer. Calls may overlap (Ray gives each a thread): while one batch waits
for a sequence that hangs, the next one is scored.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid

import ray

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.packing import received, unpacked
from sequence_tutor.distributed.replay.ray_shards import ray_replay
from sequence_tutor.distributed.replay.scorer_client import ScorerClient
from sequence_tutor.distributed.replay.worth.diversity import diversity_of
from sequence_tutor.distributed.scoring.attachments import AttachmentStore
from sequence_tutor.distributed.scoring.earlier_values import read_values
from sequence_tutor.distributed.scoring.lines import (
    LinesReport,
    give_up_lines,
    released_on_error,
    score_lines,
)
from sequence_tutor.distributed.scoring.scorer import Scorer, Work
from sequence_tutor.distributed.types import Generated, Scored, ScoreReport
from sequence_tutor.policies.encodings.base import Encoding
from sequence_tutor.rewards.isolation.identify import identifier
from sequence_tutor.rewards.isolation.reward import IsolatedReward
from sequence_tutor.rewards.place import Turn

# How often claims are renewed within a lease.
BEATS_PER_LEASE = 5


class UnknownTicketError(KeyError):
    """A step of a batch whose earlier steps are lost, as the scorer that did them has died."""


class ScorerProcess:
    """A scorer of a run.

    packed_run: the run, `sent`. shards: handles of the replay shards, `packed`. directory: where
    the user started the run and the modules of their own rewards are. files: where components'
    files are stored. encoding: decodes episodes; lines need none. turn: its share of limits that
    all scorers of the run keep together. earlier: a run directory with raw values of an earlier
    run.
    """

    def __init__(
        self,
        packed_run: bytes,
        shards: bytes,
        directory: str,
        files: AttachmentStore,
        encoding: Encoding | None = None,
        turn: Turn | None = None,
        earlier: str | None = None,
    ) -> None:
        sys.path.append(directory)
        run: RunConfig = received(packed_run)
        self.scorer_id = f"scorer-{uuid.uuid4().hex[:12]}"
        self.client = ScorerClient(ray_replay(unpacked(shards)), self.scorer_id)
        domain = run.domain
        self.reward = IsolatedReward(run.reward, domain.name, [directory], turn)
        identify = identifier(domain, self.reward)
        # lines of a file aren't learned from
        diversity = None if encoding is None else diversity_of(run)
        values = None if earlier is None else read_values(earlier)
        self.scorer = Scorer(identify, self.reward, self.client, encoding, files, diversity, values)
        self.works: dict[int, Work] = {}
        self.rows: dict[int, Scored | None] = {}
        self.beat_s = run.replay.lease_s / BEATS_PER_LEASE
        threading.Thread(target=self._beat, daemon=True, name="heartbeat").start()

    def where(self) -> str:
        """Id of the node it runs on."""
        return ray.get_runtime_context().get_node_id()  # type: ignore[no-any-return]

    def _beat(self) -> None:
        while True:
            time.sleep(self.beat_s)
            self.client.beat()

    # -- asynchronous mode -------------------------------------------------------------------

    def score_and_store(
        self, batch: Generated, rows: tuple[int, int], allowance: int
    ) -> ScoreReport:
        """Score rows (first, end) of a batch, at most `allowance` valid ones, and store them."""
        work = self.scorer.prepare(batch.slice(*rows), allowance)
        with released_on_error(self.scorer, work):
            self.scorer.claim(work)
            return self.scorer.store(work, self.scorer.score(work))

    # -- synchronous mode: one call per step, so that the driver sets the order -----------------

    def prepare(self, ticket: int, batch: Generated, allowance: int) -> None:
        if before := self.works.pop(ticket, None):  # an earlier call whose answer was lost
            self.client.release([before.keys[i] for i in before.mine])
        self.works[ticket] = self.scorer.prepare(batch, allowance)

    def claim(self, ticket: int) -> None:
        self.scorer.claim(self._work(ticket))

    def score(self, ticket: int) -> None:
        work = self._work(ticket)
        with released_on_error(self.scorer, work):
            self.rows[ticket] = self.scorer.score(work)

    def store(self, ticket: int) -> ScoreReport:
        work = self._work(ticket)
        with released_on_error(self.scorer, work):
            report = self.scorer.store(work, self.rows.pop(ticket))
        del self.works[ticket]
        return report

    def _work(self, ticket: int) -> Work:
        if ticket not in self.works:
            raise UnknownTicketError(ticket)
        return self.works[ticket]

    # -- lines of a file -------------------------------------------------------------------------

    def score_lines(self, first: int, lines: list[str], directory: str) -> LinesReport:
        """Score lines and write their results into `directory`."""
        return score_lines(self.scorer, self.scorer_id, first, lines, directory)

    def give_up(self, first: int, lines: list[str], directory: str) -> LinesReport:
        """Write lines as crashed, without reading them: scorers died while they scored them."""
        return give_up_lines(first, lines, directory)
