"""What a shard remembers: the outcome of every key, the kept rows whole, and what they are worth.

Invariants: a key has one row, the first that came; rows are numbered as they come; the content is a
function of the rows in their order, so `record.reload` restores the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sequence_tutor.distributed.replay.memory.columns import Column, Columns
from sequence_tutor.distributed.replay.memory.kept_rows import TRAINABLE, VALID, KeptRows
from sequence_tutor.distributed.replay.memory.key_index import digests
from sequence_tutor.distributed.replay.memory.outcome_index import OutcomeIndex
from sequence_tutor.distributed.replay.messages import FREE_SOURCES, RecordView
from sequence_tutor.distributed.replay.sampler import best_rows
from sequence_tutor.distributed.replay.worth.worth import Worth
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
    groups: dict[str, np.ndarray]
    """Objects [B], texts or None, by a kind of group, as in `Scored`."""

    @classmethod
    def of(cls, scored: Scored) -> KeyedScores:
        return cls(
            scored.keys,
            scored.scores,
            scored.lengths,
            np.array([source in FREE_SOURCES for source in scored.sources], bool),
            scored.step_rewards is not None,
            scored.groups,
        )

    def select(self, rows: np.ndarray) -> KeyedScores:
        return KeyedScores(
            [self.keys[i] for i in rows.tolist()],
            self.scores.select(rows),
            self.lengths[rows],
            self.free[rows],
            self.by_step,
            {kind: groups[rows] for kind, groups in self.groups.items()},
        )


class ShardMemory:
    """Remembers rows; `memory_rows` of them whole, see `KeptRows`.

    Rows with a finite reward can be held whole, and so can invalid ones without a reward of their
    own (`rewards.base.unpriced`), which rank lowest. Those with at least one action are trainable.
    Failed rows have a reward only where the config gives them one. worst: the lowest reward of a
    valid row, inf while there is none; best_invalid: the highest reward of an invalid row, -inf
    while none has its own. worth: what makes rows worth something else than their reward.
    """

    def __init__(self, memory_rows: int, worth: Worth) -> None:
        self.outcomes, self.kept, self.columns = OutcomeIndex(), KeptRows(memory_rows), Columns()
        self.worth = worth
        self._numbers = Column(np.int32)  # by slot: the row's number; kept where `worth` has rules
        self.valid = self.failed = self.paid = 0
        self.void = 0  # rows of the record that are left out, to be tried again
        self.worst, self.best_invalid = math.inf, -math.inf

    def __len__(self) -> int:
        return len(self.outcomes)

    @property
    def nbytes(self) -> int:
        rows = self.outcomes.nbytes + self.kept.nbytes + self.columns.nbytes
        return rows + self.worth.nbytes + self._numbers.nbytes

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
        first = len(self.outcomes)
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
        learnable = (rows.lengths > 0) & self.worth.learnable(scores)
        flags = TRAINABLE * learnable[held] + VALID * valid[held]
        kept = self.kept.extend(ranked[held], flags.astype(np.int8))
        pieces = [(held[piece], slots) for piece, slots in kept]
        if self.worth:
            for at, slots in pieces:
                self._numbers.write(slots, first + at)
            at = np.flatnonzero(valid & finite)
            own = rows.select(at)
            self.worth.add(first + at, own.keys, own.scores, own.groups, named[at])
        return pieces

    def factors(self, slots: np.ndarray) -> np.ndarray:
        """What `[diversity]` leaves of the reward of the rows in these slots (int [B]): float64
        [B], 1 for most."""
        return self.worth.factors(self._numbers.read(slots)) if self.worth else np.ones(len(slots))

    def worth_of(self, slots: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        """What the rows in these slots (int [B]) are worth, given their recorded rewards, float64
        [B]: float64 [B]."""
        if not self.worth:
            return rewards
        valid = self.columns.status(slots) == Status.OK
        return self.worth.of(self._numbers.read(slots), rewards, valid)

    def top(self, n: int) -> Scored:
        """The up to n best valid rows of those held whole, best first, by their reward on
        record."""
        return self.columns.read(self.kept.best(n))

    def view(self, best: int, newest: int) -> RecordView:
        """The up to `best` valid rows that are worth most of those held whole, best first, and the
        up to `newest` newest that aren't among them, in the order of their arrival."""
        slots, rewards = self.kept.valid()
        worth = self.worth_of(slots, rewards)
        first = best_rows(worth, best)
        # the newest are the last of all valid ones
        new = np.arange(max(0, len(slots) - newest), len(slots))
        chosen = np.concatenate([first, np.setdiff1d(new, first)])
        rows = self.columns.read(slots[chosen])
        return RecordView(
            rows.keys,
            rows.sequences,
            rows.sources,
            worth[chosen],
            len(first),
            rows.transformed,
            np.isin(chosen, new),
            self.factors(slots[chosen]),
        )
