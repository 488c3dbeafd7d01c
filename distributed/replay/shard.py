"""One shard of the replay: the rows whose keys it owns, in memory and on record.

Composed of columns, a key index, a sampler and a record writer. Invariants: a key has one row, the
first that came; a new shard holds what its parts hold, in their order, so a restart loses nothing
but rows not yet written; every method may be repeated without harm. Memory per row, without room
to grow, is about 320 + 2 T + 16 C bytes for C components and texts of 45 characters, and 4 T more
with per-step rewards: 480 for T = 64, C = 2.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sequence_tutor.distributed.replay.answers import (
    BEST,
    AddResult,
    EmptyReplayError,
    Known,
    ShardStats,
)
from sequence_tutor.distributed.replay.columns import Column, Columns, check_shapes
from sequence_tutor.distributed.replay.record import RecordWriter, read_parts, shard_of
from sequence_tutor.distributed.replay.sampler import RowSampler, best_rows, round_at_random
from sequence_tutor.distributed.types import SampleMeta, Scored, TrainingBatch, per_step
from sequence_tutor.rewards.base import Status

# another spelling of a sequence as int16 [T] actions, or None where there is none
Rewrite = Callable[[str, np.random.Generator], np.ndarray | None]


class ReplayShard:
    """Remembers what it's given; answers, samples, and reloads itself after a restart.

    rewrite_share of the sampled valid rows are replaced by another spelling that `rewrite` makes;
    never where there are per-step rewards, which belong to the spelling. Rows with Status.OK or
    INVALID, a finite reward and at least one action are trainable; the rest are on record only.

    Raises RecordError where the directory isn't there or a part in it is broken.
    """

    def __init__(
        self,
        directory: str | Path,
        shard: int = 0,
        shards: int = 1,
        *,
        sampler: RowSampler,
        rewrite: Rewrite | None = None,
        rewrite_share: float = 0.0,
        flush_rows: int = 4096,
        flush_seconds: float = 10.0,
    ) -> None:
        if not 0 <= rewrite_share <= 1 or (rewrite_share > 0 and rewrite is None):
            raise ValueError(f"rewrite_share {rewrite_share} must be 0 to 1 and needs a rewrite")
        self._shard, self._shards = shard, shards
        self._sampler, self._rewrite, self._rewrite_share = sampler, rewrite, rewrite_share
        self._columns = Columns()
        self._row_of: dict[str, int] = {}
        # the trainable rows and their rewards side by side, so that a sampler needn't gather them
        self._trainable, self._rewards = Column(np.int32), Column(np.float64)
        self._failed = 0
        self._valid = 0
        self._best = np.zeros(0)
        for scored in read_parts(directory, shard, shards):
            self._remember(scored)
        self._writer = RecordWriter(
            directory, shard, shards, flush_rows=flush_rows, flush_seconds=flush_seconds
        )

    def add(self, scored: Scored) -> AddResult:
        """Store the rows whose keys aren't known yet; they are on record after the next flush.

        Raises ValueError, with nothing stored, for keys that another shard owns or columns that
        don't fit together.
        """
        for key in scored.keys:
            if (owner := shard_of(key, self._shards)) != self._shard:
                raise ValueError(f"key {key!r} is for shard {owner}, this is {self._shard}")
        new = self._remember(scored)
        self._writer.append(new)
        self._writer.tick()
        return AddResult(
            len(new), len(scored) - len(new), int(np.count_nonzero(new.status == Status.OK))
        )

    def known(self, keys: Sequence[str]) -> Known:
        """Which of the keys have been scored, and their rows."""
        self._writer.tick()
        rows = [self._row_of.get(key, -1) for key in keys]
        found = np.array(rows, dtype=np.int64) >= 0
        hits = np.array(rows, dtype=np.int64)[found]
        return Known(found, self._columns.read(hits) if len(hits) else None)

    def sample(self, n: int, seed: int) -> tuple[SampleMeta, TrainingBatch]:
        """n >= 1 trainable rows, T their greatest length; the same for the same content and seed.

        Raises EmptyReplayError while there is no trainable row.
        """
        self._writer.tick()
        if n < 1:
            raise ValueError(f"can't sample {n} rows")
        if len(self._trainable.rows) == 0:
            raise EmptyReplayError(
                f"shard {self._shard} of {self._shards} has no trainable row yet"
                f" ({len(self._columns)} rows held)"
            )
        random = np.random.default_rng(seed)
        chosen = self._sampler.choose(self._rewards.rows, n, random)
        scored = self._columns.read(self._trainable.rows[chosen])
        if self._rewrite is not None and scored.step_rewards is None:
            scored = self._respell(scored, self._rewrite, random)
        meta = SampleMeta(n, float(scored.rewards.mean()), float(scored.versions.mean()))
        return meta, TrainingBatch(scored.tokens, scored.lengths, per_step(scored), scored.versions)

    def top(self, n: int) -> Scored:
        """The up to n best valid rows, best first; no rows while there is none."""
        valid = self._columns["status"] == Status.OK
        valid = np.flatnonzero(valid & np.isfinite(self._columns["rewards"]))
        return self._columns.read(valid[best_rows(self._columns["rewards"][valid], n)])

    def stats(self) -> ShardStats:
        self._writer.tick()
        index = sys.getsizeof(self._row_of) + 32 * len(self._row_of)  # 32: an int object
        columns = self._columns.nbytes + self._trainable.nbytes + self._rewards.nbytes
        return ShardStats(
            shard=self._shard,
            rows=len(self._columns),
            trainable_rows=len(self._trainable.rows),
            valid_rows=self._valid,
            failed_rows=self._failed,
            waiting_rows=self._writer.waiting,
            held_bytes=columns + index,
            best=self._best,
        )

    def flush(self) -> None:
        """Put on record what isn't yet."""
        self._writer.flush()

    def _remember(self, scored: Scored) -> Scored:
        """Hold the rows with new keys, and return copies of them."""
        check_shapes(scored)
        held = len(self._columns)
        new: dict[str, int] = {}
        for i, key in enumerate(scored.keys):
            if key not in self._row_of:
                new.setdefault(key, i)
        # copied: what Ray hands over lies in its object store, which this would keep from freeing
        fresh = scored.select(list(new.values()))
        self._columns.extend(fresh)
        self._row_of.update(zip(new, range(held, held + len(new)), strict=True))

        valid = fresh.status == Status.OK
        judged = valid | (fresh.status == Status.INVALID)
        trainable = np.flatnonzero(judged & np.isfinite(fresh.rewards) & (fresh.lengths > 0))
        self._trainable.extend(held + trainable)
        self._rewards.extend(fresh.rewards[trainable])
        self._valid += int(np.count_nonzero(valid))
        self._failed += int(np.count_nonzero(~judged))
        best = np.concatenate([self._best, fresh.rewards[valid & np.isfinite(fresh.rewards)]])
        self._best = best[best_rows(best, BEST)]
        return fresh

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
