"""One shard of the replay: the rows whose keys it owns, in memory and on record.

Composed of the content, the leases on keys that are being scored, a sampler and a record writer.
Invariants: a key has one row, the first that came; a new shard holds what its parts hold, in their
order, so a restart loses nothing but rows not yet written, which scorer clients hand over again;
every method may be repeated without harm.

Memory: 45 to 75 + 8 C bytes for every row (C components), and for up to 1.25 `memory_rows` whole
ones about 320 + 2 T + 16 C more each with texts of 45 characters; 4 T more with per-step rewards.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from sequence_tutor.distributed.replay.claims import ClaimTable
from sequence_tutor.distributed.replay.memory.columns import check_shapes
from sequence_tutor.distributed.replay.messages import (
    AddResult,
    Beat,
    Claim,
    ClaimAnswer,
    EmptyReplayError,
    ShardStats,
    floor_of,
)
from sequence_tutor.distributed.replay.record.reload import reload
from sequence_tutor.distributed.replay.record.store import PartStore, Place
from sequence_tutor.distributed.replay.record.writer import RecordWriter, shard_of
from sequence_tutor.distributed.replay.sampler import RowSampler, round_at_random
from sequence_tutor.distributed.types import (
    SampleMeta,
    Scored,
    TrainingBatch,
    concatenate,
    per_step,
)
from sequence_tutor.rewards.base import Status, unpriced

# another spelling of a sequence as int16 [T] actions, or None where there is none
Rewrite = Callable[[str, np.random.Generator], np.ndarray | None]


class ReplayShard:
    """Remembers what it's given; answers, samples, and reloads itself after a restart.

    place: the directory of the record. sampler: as for all rows, see `RowSampler.per_shard`.
    rewrite_share of the sampled valid rows are replaced by another spelling that `rewrite` makes;
    never where there are per-step rewards, which belong to the spelling. reward_id: whose scores
    these are; rows of another one in the same directory are never seen. memory_rows: how many rows
    are held whole, the newest and the best (`KeptRows`); they are what is sampled. lease_s: see
    `ClaimTable`. restarted: whether there may be holders from before, which are then given half a
    lease to say what they are scoring. clock: seconds, monotonic.

    Rows with a finite reward and at least one action are trainable, and so are invalid ones without
    a reward of their own. Failed ones have a reward only where the config gives them one, and of
    those without one only the outcome is known.

    Raises RecordError where the directory isn't there or a part in it is broken.
    """

    def __init__(
        self,
        place: Place,
        shard: int = 0,
        shards: int = 1,
        *,
        sampler: RowSampler,
        rewrite: Rewrite | None = None,
        rewrite_share: float = 0.0,
        reward_id: str = "",
        memory_rows: int = 100_000,
        lease_s: float = 10.0,
        restarted: bool = False,
        flush_rows: int = 4096,
        flush_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 <= rewrite_share <= 1 or (rewrite_share > 0 and rewrite is None):
            raise ValueError(f"rewrite_share {rewrite_share} must be 0 to 1 and needs a rewrite")
        self._shard, self._shards = shard, shards
        self._sampler = sampler.per_shard(shards)
        self._rewrite, self._rewrite_share = rewrite, rewrite_share
        self._source = PartStore(place), shard, shards, reward_id, memory_rows
        self._memory, self._recorded_later = reload(*self._source)
        self._writer = RecordWriter(
            place,
            shard,
            shards,
            reward_id=reward_id,
            flush_rows=flush_rows,
            flush_seconds=flush_seconds,
            clock=clock,
        )
        self._epoch = uuid.uuid4().hex
        self._accepted = 0  # rows in this life
        self._written = 0  # of those, how many were accepted before the first that waits
        self._lease_s = lease_s
        self._leases = ClaimTable(lease_s, lease_s / 2 if restarted else 0.0, clock)

    def claim(self, holder: str, keys: Sequence[str]) -> ClaimAnswer:
        """Whose each of the keys is; unknown ones that nobody is scoring are the holder's now."""
        self._writer.tick()
        keys = list(keys)
        rows = self._memory.find(keys)
        unknown = np.flatnonzero(rows < 0)
        state = np.full(len(keys), Claim.KNOWN, np.int8)
        losses = np.zeros(len(keys), np.int8)
        asked = [keys[i] for i in unknown.tolist()]
        state[unknown], losses[unknown] = self._leases.ask(holder, asked)
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
        self._leases.release(holder, keys)

    def renew(self, holder: str, keys: Sequence[str]) -> Beat:
        """A sign of life, with all keys that the holder believes to have here."""
        with suppress(OSError):  # a full disk is told to those who add
            self._writer.tick()
        rows = self._memory.find(list(keys))
        self._leases.renew(holder, [keys[i] for i in np.flatnonzero(rows < 0).tolist()])
        return Beat(self._epoch, self._durable(), self._lease_s)

    def add(self, scored: Scored, holder: str = "") -> AddResult:
        """Store the rows whose keys aren't known yet; they are on record after the next flush. The
        claims on all the keys end, whichever holder had them. A row that is recorded later becomes
        part of the replay as the record has it.

        Raises ValueError, with nothing stored, for keys that another shard owns or columns that
        don't fit together.
        """
        for key in scored.keys:
            if (owner := shard_of(key, self._shards)) != self._shard:
                raise ValueError(f"key {key!r} is for shard {owner}, this is {self._shard}")
        check_shapes(scored)
        if holder:
            self._leases.heard(holder)
        # copied: what Ray hands over lies in its object store, which this would keep from freeing
        unknown, named = self._memory.new_rows(scored.keys)
        new = scored.select(unknown)
        rows, unwritten = (
            self._take_recorded_later(new) if len(self._recorded_later) else (new, new)
        )
        paid = self._memory.remember(rows, named)
        self._leases.settle(scored.keys)
        if not self._writer.waiting:
            self._written = self._accepted
        self._accepted += len(rows)
        self._writer.append(unwritten)
        self._writer.tick()
        return AddResult(
            added=len(rows),
            duplicates=len(scored) - len(rows),
            paid=paid,
            epoch=self._epoch,
            position=self._accepted,
            durable=self._durable(),
        )

    def rewind(self, live_rows: int) -> None:
        """Go back to the first `live_rows` rows of the record. The later ones are kept aside:
        a scorer that claims such a key is handed the row, and when it's added it becomes part of
        the replay, and counts, as if it had been scored just now, but isn't written again. So a run
        that goes on from a checkpoint and repeats itself pays for nothing twice. Void rows have a
        place among the first; rows scored for a report are part of the replay wherever they are.

        Before the run goes on; a later restart of the shard takes the whole record as its content.
        """
        if live_rows < 0:
            raise ValueError(f"can't keep {live_rows} rows")
        self._writer.flush()
        self._memory, self._recorded_later = reload(*self._source, live_rows)

    def sample(
        self, n: int, seed: int, worst: float = math.inf
    ) -> tuple[SampleMeta, TrainingBatch]:
        """n >= 1 trainable rows of those held whole, T their greatest length; the same for the same
        content, seed and `worst`, which is the lowest reward of a valid row of any shard: invalid
        rows without a reward of their own get that, or a lower one that this shard knows.

        Raises EmptyReplayError while there is no trainable row.
        """
        self._writer.tick()
        if n < 1:
            raise ValueError(f"can't sample {n} rows")
        slots, rewards = self._memory.kept.trainable()
        if len(slots) == 0:
            raise EmptyReplayError(
                f"shard {self._shard} of {self._shards} has no trainable row yet"
                f" ({len(self._memory)} rows held)"
            )
        random = np.random.default_rng(seed)
        chosen = self._sampler.choose(rewards, n, random)
        scored = self._memory.columns.read(slots[chosen])
        scored = _priced(scored, floor_of(min(self._memory.worst, worst)))
        if self._rewrite is not None and scored.step_rewards is None:
            scored = self._respell(scored, self._rewrite, random)
        meta = SampleMeta(n, float(scored.rewards.mean()), float(scored.versions.mean()))
        return meta, TrainingBatch(scored.tokens, scored.lengths, per_step(scored), scored.versions)

    def top(self, n: int) -> Scored:
        """The up to n best valid rows of those held whole, best first; no rows while there is
        none."""
        return self._memory.top(n)

    def stats(self) -> ShardStats:
        self._writer.tick()
        content = self._memory
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
            claimed_keys=len(self._leases),
            losses=self._leases.losses,
            held_bytes=content.nbytes + self._recorded_later.nbytes + self._writer.nbytes,
            best=content.best,
            worst=content.worst,
            best_invalid=content.best_invalid,
        )

    def flush(self) -> None:
        """Put on record what isn't yet."""
        self._writer.flush()

    def _durable(self) -> int:
        return self._written if self._writer.waiting else self._accepted

    def _take_recorded_later(self, new: Scored) -> tuple[Scored, Scored]:
        """New rows, those that are recorded later as the record has them; and the others, which
        aren't on record yet."""
        back = np.array([key in self._recorded_later for key in new.keys], bool)
        others = new.select(np.flatnonzero(~back))
        if not back.any():
            return others, others
        later = self._recorded_later.take([new.keys[i] for i in np.flatnonzero(back)])
        order = np.argsort(np.argsort(back, kind="stable"))
        return concatenate([others, later]).select(order), others

    def _respell(self, scored: Scored, rewrite: Rewrite, random: np.random.Generator) -> Scored:
        """The rows with a share of the valid ones spelled differently, as wide as they need."""
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


def _priced(scored: Scored, floor: float) -> Scored:
    """The rows with `floor` as the reward of the invalid ones that have none of their own, paid by
    the last action."""
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
