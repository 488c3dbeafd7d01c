"""The client of the replay: all shards as one.

The driver calls `sample` and `stats`; scorers use a `ScorerClient`. Shards get scored data, never
references to scores that aren't made yet, which would block the calls behind them. After a restart
of a shard, scorers add rows that were not on record again, so counts come from `stats` and never
from adding up `AddResult`s.

Every method of a shard may be repeated, so `add`, `top` and `flush` wait and ask again while a
shard restarts. `sample` and `stats`, which the control loop waits for, go on without it. A shard
that can't start (its directory missing, a part broken) fails every call.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sequence_tutor.distributed.replay.messages import (
    AddResult,
    EmptyReplayError,
    RecordView,
    ShardStats,
    join_views,
)
from sequence_tutor.distributed.replay.record.writer import shard_of
from sequence_tutor.distributed.replay.sampler import best_rows
from sequence_tutor.distributed.replay.shard_calls import (
    Arguments,
    ShardCalls,
    ShardUnavailableError,
)
from sequence_tutor.distributed.replay.worth.shared import Heard, News
from sequence_tutor.distributed.types import Scored, concatenate


def owners(keys: Sequence[str], shards: int) -> dict[int, np.ndarray]:
    """By shard: the places of the keys that it owns, int64, increasing."""
    of = np.array([shard_of(key, shards) for key in keys], dtype=np.int64)
    return {shard: np.flatnonzero(of == shard) for shard in np.unique(of).tolist()}


def split(scored: Scored, shards: int) -> dict[int, Scored]:
    """By shard: the rows whose keys it owns, in their order."""
    return {shard: scored.select(rows) for shard, rows in owners(scored.keys, shards).items()}


def total(results: Sequence[AddResult]) -> AddResult:
    """Results of several shards as one."""
    return AddResult(
        sum(r.added for r in results),
        sum(r.duplicates for r in results),
        sum(r.paid for r in results),
    )


def _unheard(shard: int, heard: dict[int, dict[str, Heard]]) -> dict[str, tuple[str, int]]:
    """What a shard must tell the others, by what they share: since which of its rows."""
    found = {}
    for name, own in heard[shard].items():
        others = [one[name].of.get(shard, ("", 0)) for at, one in heard.items() if at != shard]
        first = min((rows if epoch == own.epoch else 0 for epoch, rows in others), default=own.rows)
        # a shard of another epoch that has no rows yet is told too, so that the old ones go
        if first < own.rows or any(epoch not in ("", own.epoch) for epoch, _ in others):
            found[name] = own.epoch, first
    return found


class ReplayClient:
    """All shards as one. Can be sent to other Ray processes if its `calls` can.

    calls: calls to R shards. `sample` and `stats` wait for its `patience_s` before they go on
    without a shard, all other methods for its `deadline_s`.
    """

    def __init__(self, calls: ShardCalls) -> None:
        self.calls = calls
        self._stats: dict[int, ShardStats] = {}
        self._shares = len(calls) > 1  # until the shards say that there is nothing to share

    def add(self, scored: Scored) -> AddResult:
        """Store rows whose keys aren't known. Returns when the shards hold them. Rows that aren't
        on record are lost with their shard, unlike those that a `ScorerClient` adds.

        If a shard dies during the call, rows that it had put on record count as duplicates.
        """
        parts = {shard: (part,) for shard, part in split(scored, len(self.calls)).items()}
        return total(list(self.calls.call("add", parts).values()))

    def share(self, wait: bool = True) -> None:
        """Tell every shard which rows of the others change what its own are worth, so that this is
        the same whatever the number of shards. In between a shard knows its own new rows alone.
        wait: whether to wait for a shard that restarts; without, it is told the next time."""
        if not self._shares:
            return
        heard: dict[int, dict[str, Heard]] = self._ask("heard", self._all(), wait)
        if heard and not any(heard.values()):
            self._shares = False
            return
        asked = {shard: (_unheard(shard, heard),) for shard in heard}
        asked = {shard: (names,) for shard, (names,) in asked.items() if names}
        news: dict[int, dict[str, News]] = self._ask("news", asked, wait)
        told = {at: [one for shard, one in news.items() if shard != at] for at in heard}
        self._ask("hear", {at: (of_others,) for at, of_others in told.items() if of_others}, wait)

    def _ask(self, method: str, arguments: Arguments, wait: bool) -> dict[int, Any]:
        if wait:
            return self.calls.call(method, arguments)
        return self.calls.gather(method, self.calls.send(method, arguments), self.calls.patience_s)

    def rewind(self, live_rows_per_shard: Sequence[int]) -> None:
        """Go back to the first rows of each shard's record; see `ReplayShard.rewind`. Raises
        ValueError for another number of shards, which have other rows."""
        if len(live_rows_per_shard) != len(self.calls):
            raise ValueError(
                f"rows of {len(live_rows_per_shard)} shards for a replay of {len(self.calls)}"
            )
        self.calls.call("rewind", {i: (rows,) for i, rows in enumerate(live_rows_per_shard)})
        self._stats = {}

    def sample(self, n: int, seed: int, batches: int = 1) -> list[Any]:
        """References to `batches` batches of n trainable rows, which stay on their shards' nodes.

        All rows of a batch come from one shard, drawn in proportion to its trainable rows in the
        last `stats`, which this calls where there are none: a hash spreads the keys, so a shard's
        rows are a random part of all. Shards that are down or empty are left out until the next
        `stats`; if all are down this waits for them. Invalid rows without a reward of their own get
        the lowest reward of a valid row in the last `stats`, or a lower one that their shard has.
        Raises EmptyReplayError where no shard has a trainable row.
        """
        random = np.random.default_rng(seed)
        sampled: list[Any] = []
        while len(sampled) < batches:
            for shard, drawn, batch in self._draw(n, random, batches - len(sampled)):
                try:
                    self.calls.get(shard, "sample", drawn, self.calls.patience_s)
                    sampled.append(batch)
                except EmptyReplayError:  # it has restarted with fewer rows than in its last stats
                    self._stats[shard] = replace(self._stats[shard], trainable_rows=0)
                except (ShardUnavailableError, TimeoutError):
                    self._stats[shard] = replace(self._stats[shard], live=False)
        return sampled

    def start_sampling(self, n: int, seed: int, batches: int = 1) -> list[Any]:
        """Like `sample`, but returns references to the batches while the shards draw them. Where a
        shard has died or is empty, getting its batch raises the error."""
        return [batch for _, _, batch in self._draw(n, np.random.default_rng(seed), batches)]

    def top(self, n: int) -> Scored:
        """The up to n best valid rows of all shards, best first, by their reward on record; no
        rows while there is none."""
        best = concatenate(list(self.calls.call("top", self._all(n)).values()))
        return best.select(best_rows(best.rewards, n))

    def view(self, best: int, newest: int) -> RecordView:
        """The up to `best` valid rows of all shards that are worth most, and about the `newest`
        newest."""
        each = math.ceil(newest / len(self.calls))
        answers = self.calls.call("view", self._all(best, each))
        return join_views([answers[shard] for shard in sorted(answers)], best)

    def known(self, keys: Sequence[str]) -> np.ndarray:
        """bool [B]: which keys have a row that is part of the replay."""
        found = np.zeros(len(keys), bool)
        places = owners(keys, len(self.calls))
        asked = {shard: ([keys[i] for i in at],) for shard, at in places.items()}
        for shard, answer in self.calls.call("known", asked).items():
            found[places[shard]] = answer
        return found

    def stats(self) -> list[ShardStats]:
        """Numbers of each shard (`combine` sums up). A shard that is down has its last known
        numbers with live=False; this waits for a shard that has never answered. Shares first."""
        self.share(wait=False)
        unknown = {shard: () for shard in self._all() if shard not in self._stats}
        known = self.calls.send("stats", {shard: () for shard in self._stats})
        self._stats |= self.calls.call("stats", unknown)
        answers = self.calls.gather("stats", known, self.calls.patience_s)
        for shard in known:
            self._stats[shard] = answers.get(shard) or replace(self._stats[shard], live=False)
        return [self._stats[shard] for shard in self._all()]

    def flush(self) -> None:
        """Put everything on record."""
        self.calls.call("flush", self._all())

    def _all(self, *arguments: Any) -> dict[int, tuple[Any, ...]]:
        return {shard: arguments for shard in range(len(self.calls))}

    def _draw(
        self, n: int, random: np.random.Generator, batches: int
    ) -> list[tuple[int, Any, Any]]:
        """Start drawing batches of n rows: (shard, reference that tells of it, its batch) each."""
        deadline = time.monotonic() + self.calls.deadline_s
        while not (weights := self._weights()).any():
            if not all(s.live for s in self.stats()) and time.monotonic() < deadline:
                time.sleep(0.2)
                continue
            if not self._weights().any():
                raise EmptyReplayError(
                    "no shard has a trainable row to sample; not answering: "
                    f"{[s.shard for s in self._stats.values() if not s.live] or 'none'}"
                )
        worst = min(stats.worst for stats in self._stats.values())
        shards = random.choice(len(weights), size=batches, p=weights / weights.sum())
        seeds = random.integers(2**63, size=batches)
        drawn = []
        for shard, seed in zip(shards.tolist(), seeds.tolist(), strict=True):
            drawn.append((shard, *self.calls.start_sample(shard, n, seed, worst)))
        return drawn

    def _weights(self) -> np.ndarray:
        """Trainable rows of each of R shards, float64 [R]; 0 where it is down or unknown."""
        weights = np.zeros(len(self.calls))
        for shard, stats in self._stats.items():
            weights[shard] = stats.trainable_rows if stats.live else 0
        return weights
