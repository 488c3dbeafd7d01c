"""The replay for a scorer: claims on keys, and rows to be stored.

A client remembers the keys it holds and the rows it added that aren't on record yet. A thread calls
`beat` a few times per lease, which renews the claims and adds these rows again to a shard that has
restarted. So while its scorers live, a killed shard loses no rows, and no key is scored twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from sequence_tutor.distributed.replay.client import ReplayClient, owners, split, total
from sequence_tutor.distributed.replay.messages import (
    AddResult,
    Claim,
    ClaimAnswer,
)
from sequence_tutor.distributed.types import Scored, concatenate
from sequence_tutor.rewards.base import merge_scores


@dataclass(frozen=True, eq=False)
class _Sent:
    """Rows that a shard accepted in an epoch, the last of them as its row number `position`."""

    epoch: str
    position: int
    rows: Scored


class ScorerClient:
    """One holder of claims; any threads may use it.

    replay: the client of all shards. holder: this process's id, new after each restart, so that
    claims from before it end.

    Calls wait for a shard that restarts, and raise TimeoutError with its number after the replay's
    deadline_s. What was claimed before an error is still held: `release` it. Rows are kept until
    they are on record: those that were added within a flush interval and a beat.
    """

    def __init__(self, replay: ReplayClient, holder: str) -> None:
        self._calls, self.holder = replay.calls, holder
        # Also held while calls that release or renew claims are sent, so that shards get them in
        # this order: a claim renewed after its release would never end.
        self._lock = Lock()
        self._held: list[set[str]] = [set() for _ in range(len(self._calls))]
        self._asked: set[str] = set()
        self._sent: list[list[_Sent]] = [[] for _ in range(len(self._calls))]
        self._patience_s = self._calls.patience_s

    def claim(self, keys: Sequence[str]) -> ClaimAnswer:
        """The state of each key, in their order; see `ClaimAnswer`.

        A key that is there twice has the same state in both places. A key that an earlier call, or
        one of another thread, has claimed for this process is BUSY until it's added or released, so
        that this process scores it once.
        """
        at: dict[int, np.ndarray] = {}
        with self._lock:
            for shard, rows in owners(keys, len(self._calls)).items():
                ours = self._held[shard] | self._asked
                free = [i for i in rows.tolist() if keys[i] not in ours]
                if free:
                    at[shard] = np.array(free, np.int64)
            asked = {keys[i] for rows in at.values() for i in rows.tolist()}
            self._asked |= asked
        arguments = {s: (self.holder, [keys[i] for i in rows]) for s, rows in at.items()}
        try:
            answers: dict[int, ClaimAnswer] = self._calls.call("claim", arguments)
            with self._lock:
                for shard, answer in answers.items():
                    mine = np.flatnonzero(answer.state == Claim.YOURS).tolist()
                    self._held[shard].update(arguments[shard][1][i] for i in mine)
        except BaseException:
            self._calls.send("release", arguments)  # some shards may have given us claims
            raise
        finally:
            with self._lock:
                self._asked -= asked
        return _merge(len(keys), at, answers)

    def release(self, keys: Sequence[str]) -> None:
        """Give keys back unscored, whichever thread claimed them; other keys stay as they are."""
        at = owners(keys, len(self._calls))
        arguments = {s: (self.holder, [keys[i] for i in rows]) for s, rows in at.items()}
        with self._lock:
            for shard, (_, theirs) in arguments.items():
                self._held[shard].difference_update(theirs)
            refs = self._calls.send("release", arguments)
        self._calls.wait("release", arguments, refs)

    def add(self, scored: Scored) -> AddResult:
        """Store rows, which ends the claims on their keys. Returns when the shards hold them. While
        this process lives and beats, they aren't lost."""
        arguments = {
            shard: (rows, self.holder) for shard, rows in split(scored, len(self._calls)).items()
        }
        # held until the shard answers: if it dies first, no other scorer may claim these keys
        results: dict[int, AddResult] = self._calls.call("add", arguments)
        with self._lock:
            for shard, result in results.items():
                self._held[shard].difference_update(arguments[shard][0].keys)
                sent = _Sent(result.epoch, result.position, arguments[shard][0])
                self._sent[shard].append(sent)
                self._forget(shard, result.epoch, result.durable)
        return total(list(results.values()))

    def beat(self) -> None:
        """A sign of life to all shards: renews claims, forgets rows that are on record, and adds
        rows of an earlier epoch again.

        Waits at most for the replay's patience_s or a quarter of a lease, whichever is shorter, so
        that claims on other shards don't expire; twice that where there are rows to add again. A
        shard that doesn't answer is left for the next beat; a shard that can't be restarted raises
        RuntimeError.
        """
        again: dict[int, Any] = {}
        lost: dict[int, list[_Sent]] = {}
        rows: dict[int, Scored] = {}
        for shard, beat in self._calls.as_they_come("renew", self._renew, self._patience_s):
            with self._lock:
                self._patience_s = min(self._calls.patience_s, beat.lease_s / 4)
                self._forget(shard, beat.epoch, beat.durable)
                lost[shard] = [sent for sent in self._sent[shard] if sent.epoch != beat.epoch]
            if lost[shard]:
                rows[shard] = concatenate([sent.rows for sent in lost[shard]])
                again[shard] = self._calls.start(shard, "add", rows[shard], self.holder)
        results: dict[int, AddResult] = self._calls.gather("add", again, self._patience_s)
        with self._lock:
            for shard, result in results.items():
                kept = [sent for sent in self._sent[shard] if sent not in lost[shard]]
                self._sent[shard] = [*kept, _Sent(result.epoch, result.position, rows[shard])]
                self._forget(shard, result.epoch, result.durable)

    def _renew(self, shard: int) -> Any:
        with self._lock:
            return self._calls.start(shard, "renew", self.holder, sorted(self._held[shard]))

    @property
    def unrecorded_rows(self) -> int:
        """Rows that were added and aren't known to be on record."""
        with self._lock:
            return sum(len(sent.rows) for shard in self._sent for sent in shard)

    def _forget(self, shard: int, epoch: str, durable: int) -> None:
        """Drop the rows that are on record."""
        self._sent[shard] = [
            sent for sent in self._sent[shard] if sent.epoch != epoch or sent.position > durable
        ]


def _merge(keys: int, asked: dict[int, np.ndarray], answers: dict[int, ClaimAnswer]) -> ClaimAnswer:
    """One answer about all keys, in their order, from those of shards about some of the keys each
    (`asked`). Keys that no shard was asked about are BUSY."""
    state, losses = np.full(keys, Claim.BUSY, np.int8), np.zeros(keys, np.int8)
    known: list[np.ndarray] = [np.zeros(0, np.int64)]
    paid: list[np.ndarray] = [np.zeros(0, np.int64)]
    for shard, at in asked.items():
        state[at], losses[at] = answers[shard].state, answers[shard].losses
        known.append(at[answers[shard].state == Claim.KNOWN])
        paid.append(at[answers[shard].already_scored_at])
    scores = merge_scores([answers[shard].known for shard in asked])
    rows = [a.paid for shard in asked if (a := answers[shard]).paid is not None]
    already_scored_at = np.concatenate(paid)
    return ClaimAnswer(
        state=state,
        losses=losses,
        known=scores.select(np.argsort(np.concatenate(known))),
        paid=concatenate(rows).select(np.argsort(already_scored_at)) if rows else None,
        already_scored_at=np.sort(already_scored_at),
    )
