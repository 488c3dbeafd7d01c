"""One shard of the replay: the rows whose keys it owns, in memory and on record.

Composed of a memory, claims on keys that are being scored, a sampler and a record writer.
Invariants: a key has one row, the first that came; a new shard holds the rows of its parts, in
their order, so a restart loses only rows not yet written, which scorer clients add again; repeating
a call changes nothing.

Memory: 45 to 75 + 8 K bytes for every row (K components). Up to 1.25 `memory_rows` rows are held
whole and take about 320 + 2 T + 16 K bytes more each, with texts of 45 characters, and 4 T more
with per-step rewards.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from sequence_tutor.distributed.replay.claims import ClaimTable
from sequence_tutor.distributed.replay.memory.columns import check_shapes
from sequence_tutor.distributed.replay.messages import (
    BEST,
    AddResult,
    Beat,
    Claim,
    ClaimAnswer,
    EmptyReplayError,
    RecordView,
    ShardStats,
    floor_of,
)
from sequence_tutor.distributed.replay.record.reload import reload
from sequence_tutor.distributed.replay.record.store import PartStore
from sequence_tutor.distributed.replay.record.writer import FLUSH_ROWS, RecordWriter, shard_of
from sequence_tutor.distributed.replay.sampler import RowSampler, round_at_random
from sequence_tutor.distributed.replay.worth.shared import Heard, News
from sequence_tutor.distributed.replay.worth.worth import WorthRules
from sequence_tutor.distributed.types import Scored, TrainingBatch, concatenate, per_step
from sequence_tutor.policies.files.storage import Where
from sequence_tutor.rewards.base import Status, unpriced

# From a sequence to another spelling of it as int16 [T] actions, or None where there is none.
Rewrite = Callable[[str, np.random.Generator], np.ndarray | None]


@dataclass(frozen=True)
class ShardSettings:
    """What is the same for all shards of a record. Raises ValueError for a share outside 0..1."""

    sampler: RowSampler
    """The sampler for all rows; each shard uses its `per_shard`."""
    rewrite: Rewrite | None
    """Makes other spellings; None where nothing is spelled anew."""
    rewrite_share: float
    """Share of the sampled valid rows that get another spelling; none where there are per-step
    rewards, which belong to a spelling."""
    reward_id: str
    """The reward configuration of these scores; rows of others in the directory are ignored."""
    memory_rows: int
    """Rows held whole, the newest and the best (`KeptRows`); only these are sampled."""
    lease_s: float
    """See `ClaimTable`."""
    flush_seconds: float
    """See `RecordWriter`."""
    flush_rows: int = FLUSH_ROWS
    """See `RecordWriter`."""
    worth: WorthRules = WorthRules()
    """What makes rows worth something else than their reward to training, proposers and the
    screen."""

    def __post_init__(self) -> None:
        share = self.rewrite_share
        if not 0 <= share <= 1 or (share > 0 and self.rewrite is None):
            raise ValueError(f"rewrite_share {share} must be 0 to 1 and needs a rewrite")


class ReplayShard:
    """Stores rows, answers claims, samples, and reloads itself after a restart.

    place: the directory of the record. restarted: whether holders from before a restart may be
    alive; they have half a lease to renew their claims. clock: seconds, monotonic.

    Rows with a finite reward and at least one action are trainable, and so are invalid ones without
    a reward of their own. Failed rows have a reward only where the config gives them one; of those
    without a reward only the outcome is held.

    Raises RecordError where the directory isn't there or a part in it is broken.
    """

    def __init__(
        self,
        place: Where,
        settings: ShardSettings,
        shard: int = 0,
        shards: int = 1,
        *,
        restarted: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shard, self._shards = shard, shards
        self._sampler = settings.sampler.per_shard(shards)
        self._rewrite, self._rewrite_share = settings.rewrite, settings.rewrite_share
        self._rules = settings.worth
        record = PartStore(place), shard, shards, settings.reward_id
        self._source = *record, settings.memory_rows, settings.worth
        self._memory, self._recorded_later = reload(*self._source)
        self._writer = RecordWriter(
            place,
            shard,
            shards,
            reward_id=settings.reward_id,
            flush_rows=settings.flush_rows,
            flush_seconds=settings.flush_seconds,
            clock=clock,
        )
        lease_s = settings.lease_s
        self._epoch = uuid.uuid4().hex
        self._accepted = 0  # rows in this epoch
        self._written = 0  # rows accepted in this epoch before the first one that isn't written
        self._lease_s = lease_s
        self._claims = ClaimTable(lease_s, lease_s / 2 if restarted else 0.0, clock)

    def claim(self, holder: str, keys: Sequence[str]) -> ClaimAnswer:
        """The state of each key. Unknown keys that no other scorer holds become the holder's."""
        self._writer.flush_if_due()
        keys = list(keys)
        rows = self._memory.find(keys)
        unknown = np.flatnonzero(rows < 0)
        state = np.full(len(keys), Claim.KNOWN, np.int8)
        losses = np.zeros(len(keys), np.int8)
        asked = [keys[i] for i in unknown.tolist()]
        state[unknown], losses[unknown] = self._claims.ask(holder, asked)
        already_scored_at: dict[str, int] = {}
        for i in np.flatnonzero(state == Claim.YOURS).tolist() if len(self._recorded_later) else []:
            if keys[i] in self._recorded_later:
                already_scored_at.setdefault(keys[i], i)
        return ClaimAnswer(
            state=state,
            losses=losses,
            known=self._memory.outcomes.read(rows[rows >= 0]),
            paid=self._recorded_later.read(list(already_scored_at)) if already_scored_at else None,
            already_scored_at=np.array(list(already_scored_at.values()), np.int64),
        )

    def release(self, holder: str, keys: Sequence[str]) -> None:
        """Give up claims without a score."""
        self._claims.release(holder, keys)

    def renew(self, holder: str, keys: Sequence[str]) -> Beat:
        """A sign of life, with all keys that the holder has on this shard by its own account."""
        with suppress(OSError):  # `add` raises the error of a full disk
            self._writer.flush_if_due()
        rows = self._memory.find(list(keys))
        self._claims.renew(holder, [keys[i] for i in np.flatnonzero(rows < 0).tolist()])
        return Beat(self._epoch, self._durable(), self._lease_s)

    def add(self, scored: Scored, holder: str = "") -> AddResult:
        """Store the rows whose keys aren't known yet; they are on record after the next flush. The
        claims on all the keys end, whichever holder had them. A key that is recorded later (see
        `rewind`) gets the row of the record.

        Raises ValueError, with nothing stored, for keys that another shard owns or columns that
        differ in size.
        """
        for key in scored.keys:
            if (owner := shard_of(key, self._shards)) != self._shard:
                raise ValueError(f"key {key!r} is for shard {owner}, this is {self._shard}")
        check_shapes(scored)
        if holder:
            self._claims.heard(holder)
        # copies: a reference to arrays of a call would keep Ray from freeing its object store
        unknown, named = self._memory.new_rows(scored.keys)
        new = scored.select(unknown)
        rows, unwritten = (
            self._take_recorded_later(new) if len(self._recorded_later) else (new, new)
        )
        paid = self._memory.remember(rows, named)
        self._claims.settle(scored.keys)
        if not self._writer.waiting:
            self._written = self._accepted
        self._accepted += len(rows)
        self._writer.append(unwritten)
        self._writer.flush_if_due()
        return AddResult(
            added=len(rows),
            duplicates=len(scored) - len(rows),
            paid=paid,
            epoch=self._epoch,
            position=self._accepted,
            durable=self._durable(),
        )

    def rewind(self, live_rows: int) -> None:
        """Go back to the first `live_rows` rows of the record. Later rows are held aside: a scorer
        that claims such a key gets the row, and by adding it makes it part of the replay. Then it
        counts as if it had been scored in this moment, but isn't written again. So a run that
        resumes from a checkpoint and repeats itself pays for no score twice. Void rows count among
        the first ones; rows scored for a report are part of the replay wherever they are.

        For the start of a resumed run: a later restart of the shard loads the whole record.
        """
        if live_rows < 0:
            raise ValueError(f"can't keep {live_rows} rows")
        self._writer.flush()
        self._memory, self._recorded_later = reload(*self._source, live_rows)

    def sample(self, n: int, seed: int, worst: float = math.inf) -> TrainingBatch:
        """n >= 1 trainable rows of those held whole, T their greatest length; a function of the
        content, the seed and `worst`, the lowest reward of a valid row of any shard. Rewards are
        what the rows are worth (`ShardMemory.worth_of`); invalid rows without a reward of their own
        get `worst`, or a lower one that this shard has.

        Raises EmptyReplayError while there is no trainable row.
        """
        self._writer.flush_if_due()
        if n < 1:
            raise ValueError(f"can't sample {n} rows")
        slots, rewards = self._memory.kept.trainable()
        if len(slots) == 0:
            raise EmptyReplayError(
                f"shard {self._shard} of {self._shards} has no trainable row yet"
                f" ({len(self._memory)} rows held)"
            )
        random = np.random.default_rng(seed)
        worth = self._memory.worth_of(slots, rewards)
        chosen = self._sampler.choose(worth, n, random)
        scored = self._memory.columns.read(slots[chosen])
        if self._memory.worth:
            scored = _revalued(scored, worth[chosen], self._memory.factors(slots[chosen]))
        scored = _priced(scored, self._floor(worst))
        if self._rewrite is not None and scored.step_rewards is None:
            scored = self._respell(scored, self._rewrite, random)
        return TrainingBatch(scored.tokens, scored.lengths, per_step(scored), scored.versions)

    def _floor(self, worst: float) -> float:
        """The reward of an invalid row without one of its own: no valid row is worth less."""
        return min(floor_of(min(self._memory.worst, worst)), self._rules.lowest)

    def top(self, n: int) -> Scored:
        """The up to n best valid rows of those held whole, best first, by their reward on record;
        no rows while there is none."""
        return self._memory.top(n)

    def view(self, best: int, newest: int) -> RecordView:
        """The up to `best` valid rows that are worth most of those held whole, and the up to
        `newest` newest."""
        return self._memory.view(best, newest)

    def heard(self) -> dict[str, Heard]:
        """How far this shard knows the rows of the others that change what its own are worth, by
        what the shards share; empty where they share nothing."""
        return self._memory.worth.heard()

    def news(self, asked: dict[str, tuple[str, int]]) -> dict[str, News]:
        """The rows of this shard for the others, by what they share; see `SharedRows.news`."""
        return self._memory.worth.news(asked)

    def hear(self, news: Sequence[dict[str, News]]) -> None:
        """Take note of rows of other shards."""
        self._memory.worth.hear(news)

    def known(self, keys: Sequence[str]) -> np.ndarray:
        """bool [B]: which keys have a row that is part of the replay."""
        rows: np.ndarray = self._memory.find(list(keys)) >= 0
        return rows

    def stats(self) -> ShardStats:
        self._writer.flush_if_due()
        content, top = self._memory, self._memory.top(BEST)
        return ShardStats(
            shard=self._shard,
            rows=len(content),
            trainable_rows=len(content.kept.trainable()[0]),
            valid_rows=content.valid,
            failed_rows=content.failed,
            paid_rows=content.paid,
            kept_rows=len(content.kept),
            recorded_later_rows=len(self._recorded_later),
            void_rows=content.void,
            waiting_rows=self._writer.waiting,
            waiting_s=self._writer.age_s,
            claimed_keys=len(self._claims),
            losses=self._claims.losses,
            held_bytes=content.nbytes + self._recorded_later.nbytes + self._writer.nbytes,
            best=top.rewards,
            best_sources=top.sources,
            best_sequence=top.sequences[0] if len(top) else "",
            worst=content.worst,
            best_invalid=content.best_invalid,
            groups=content.worth.groups,
            lowered_rows=content.worth.lowered,
        )

    def flush(self) -> None:
        """Write all rows that aren't on record yet."""
        self._writer.flush()

    def _durable(self) -> int:
        return self._written if self._writer.waiting else self._accepted

    def _take_recorded_later(self, new: Scored) -> tuple[Scored, Scored]:
        """(rows for the memory, rows to write). Keys that are recorded later get the row of the
        record, which isn't written again."""
        back = np.array([key in self._recorded_later for key in new.keys], bool)
        others = new.select(np.flatnonzero(~back))
        if not back.any():
            return others, others
        later = self._recorded_later.take([new.keys[i] for i in np.flatnonzero(back)])
        order = np.argsort(np.argsort(back, kind="stable"))
        return concatenate([others, later]).select(order), others

    def _respell(self, scored: Scored, rewrite: Rewrite, random: np.random.Generator) -> Scored:
        """The rows with a share of the valid ones spelled differently; T is the longest."""
        valid = np.flatnonzero(scored.status == Status.OK)
        share = round_at_random(len(valid) * self._rewrite_share, random)
        spellings: dict[int, np.ndarray] = {}
        for row in random.choice(valid, share, replace=False):
            tokens = rewrite(scored.sequences[row], random)
            if tokens is not None and len(tokens):
                spellings[int(row)] = tokens
        lengths = scored.lengths.copy()
        for row, spelling in spellings.items():
            lengths[row] = len(spelling)
        tokens = np.zeros((len(scored), int(lengths.max())), dtype=np.int16)
        for row, length in enumerate(lengths):
            tokens[row, :length] = spellings.get(row, scored.tokens[row, :length])
        return replace(scored, tokens=tokens, lengths=lengths)


def _revalued(scored: Scored, worth: np.ndarray, factors: np.ndarray) -> Scored:
    """The rows with what they are worth as their rewards, float64 [B]; rewards of each step are
    multiplied by `factors`, float64 [B]."""
    steps = scored.step_rewards
    if steps is not None:
        steps = steps * factors[:, None].astype(np.float32)
    rewards = np.where(np.isfinite(worth), worth, scored.rewards)  # -inf has no reward of its own
    return replace(scored, rewards=rewards, step_rewards=steps)


def _priced(scored: Scored, floor: float) -> Scored:
    """The rows with `floor` as the reward of invalid ones that have none of their own, paid at the
    last action."""
    rows = np.flatnonzero(unpriced(scored.rewards, scored.status))
    if not len(rows):
        return scored
    rewards = scored.rewards.copy()
    rewards[rows] = floor
    if scored.step_rewards is None:
        return replace(scored, rewards=rewards)
    steps = scored.step_rewards.copy()
    steps[rows] = 0.0
    steps[rows, scored.lengths[rows] - 1] = floor
    return replace(scored, rewards=rewards, step_rewards=steps)
