"""What a shard remembers: the outcome of every key, and the kept rows whole.

Invariants: a key has one row, the first that came; rows are numbered as they come; the content is a
function of the rows in their order, so `record.reload` restores the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sequence_tutor.distributed.replay.memory.columns import Columns
from sequence_tutor.distributed.replay.memory.kept_rows import TRAINABLE, VALID, KeptRows
from sequence_tutor.distributed.replay.memory.key_index import digests
from sequence_tutor.distributed.replay.memory.outcome_index import OutcomeIndex
from sequence_tutor.distributed.replay.messages import FREE_SOURCES
from sequence_tutor.distributed.types import Scored
from sequence_tutor.rewards.base import Scores, Status, unpriced


@dataclass(frozen=True)
class KeyedScores:
    """B rows without their sequences: what is remembered of every key."""

    keys: list[str]
    """B keys."""
    scores: Scores
    """What became of the B sequences."""
    lengths: np.ndarray
    """int [B] actions of each sequence."""
    free: np.ndarray
    """bool [B] whether a row's source is one of FREE_SOURCES, which the budget doesn't count."""
    by_step: bool
    """Whether the rows have per-step rewards."""

    @classmethod
    def of(cls, scored: Scored) -> KeyedScores:
        return cls(
            scored.keys,
            scored.scores,
            scored.lengths,
            np.array([source in FREE_SOURCES for source in scored.sources], bool),
            scored.step_rewards is not None,
        )

    def select(self, rows: np.ndarray) -> KeyedScores:
        return KeyedScores(
            [self.keys[i] for i in rows.tolist()],
            self.scores.select(rows),
            self.lengths[rows],
            self.free[rows],
            self.by_step,
        )


class ShardMemory:
    """Remembers rows; `memory_rows` of them whole, see `KeptRows`.

    Rows with a finite reward can be held whole, and so can invalid ones without a reward of their
    own (`rewards.base.unpriced`), which rank lowest. Those with at least one action are trainable.
    Failed rows have a reward only where the config gives them one. worst: the lowest reward of a
    valid row, inf while there is none; best_invalid: the highest reward of an invalid row, -inf
    while none has its own.
    """

    def __init__(self, memory_rows: int) -> None:
        self.outcomes, self.kept, self.columns = OutcomeIndex(), KeptRows(memory_rows), Columns()
        self.valid = self.failed = self.paid = 0
        self.void = 0  # rows of the record that are left out, to be tried again
        self.worst, self.best_invalid = math.inf, -math.inf

    def __len__(self) -> int:
        return len(self.outcomes)

    @property
    def nbytes(self) -> int:
        return self.outcomes.nbytes + self.kept.nbytes + self.columns.nbytes

    def find(self, keys: list[str]) -> np.ndarray:
        """Row numbers, int64 [B]; -1 for unknown keys."""
        return self.outcomes.find(digests(keys))

    def new_rows(self, keys: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Places of the unknown keys among the B, each where it comes first: int64 [N], increasing;
        and their digests, uint64 [N,2]."""
        wanted = digests(keys)
        first: dict[str, int] = {}
        for i in np.flatnonzero(self.outcomes.find(wanted) < 0).tolist():
            first.setdefault(keys[i], i)
        new = np.array(list(first.values()), np.int64)
        return new, wanted[new]

    def remember(self, scored: Scored, named: np.ndarray) -> int:
        """Hold rows with new keys, all different, whose digests are `named`. Keeps no reference to
        their arrays. Returns how many count against the score budget."""
        before = self.paid
        for rows, slots in self.note(KeyedScores.of(scored), named):
            self.columns.write(slots, scored.select(rows))
        return self.paid - before

    def note(self, rows: KeyedScores, named: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Hold the outcomes of rows with new keys, all different. Returns which rows are to be held
        whole, and their slots: the caller writes them into `columns` in this order."""
        scores = rows.scores
        if rows.by_step and len(rows.keys):
            self.columns.pay_by_step()
        self.outcomes.extend(named, scores)
        valid, invalid = scores.status == Status.OK, scores.status == Status.INVALID
        self.valid += int(valid.sum())
        self.failed += int((~valid & ~invalid).sum())
        self.paid += int((~invalid & ~rows.free).sum())
        finite = np.isfinite(scores.rewards)
        self.worst = float(scores.rewards[valid & finite].min(initial=self.worst))
        highest = scores.rewards[invalid & finite].max(initial=self.best_invalid)
        self.best_invalid = float(highest)
        lowest = unpriced(scores.rewards, scores.status)
        ranked = np.where(lowest, -np.inf, scores.rewards)
        held = np.flatnonzero(finite | lowest)
        flags = TRAINABLE * (rows.lengths[held] > 0) + VALID * valid[held]
        pieces = self.kept.extend(ranked[held], flags.astype(np.int8))
        return [(held[piece], slots) for piece, slots in pieces]

    def top(self, n: int) -> Scored:
        """The up to n best valid rows of those held whole, best first."""
        return self.columns.read(self.kept.best(n))

    def newest(self, n: int) -> Scored:
        """The up to n newest valid rows of those held whole, in the order of their arrival."""
        return self.columns.read(self.kept.newest(n))
