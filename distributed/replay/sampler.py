"""Which rows the learner gets: pure functions from rewards to row numbers.

Rows are in the order of their arrival, so a higher number is a newer row. Rewards are finite, or
-inf for the lowest of all.

A replay of R shards draws each batch from one of them, whose rows are a random R-th of all. Two
numbers are divided by R, so that a row is drawn as often as with one shard: how many rows count as
best or newest, and the rows of one draw. One large draw without replacement would exhaust the
shard's best rows and flatten the weights, so a batch is R draws of n/R rows, and may have a row R
times.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np


class RowSampler(Protocol):
    """Chooses rows."""

    def choose(self, rewards: np.ndarray, n: int, random: np.random.Generator) -> np.ndarray:
        """`n` row numbers, int64 [n], given float64 rewards [N].

        No row comes twice where there are enough eligible rows, else rows are drawn with
        replacement. A function of the arguments alone. Raises ValueError for N = 0.
        """

    def per_shard(self, shards: int) -> RowSampler:
        """The sampler for each of `shards` shards, with which all together sample as this one does
        from all rows, up to chance in how rows are spread over shards."""


def best_rows(rewards: np.ndarray, n: int) -> np.ndarray:
    """The best min(n, N) rows, int64, best first, of equal ones the newest first.

    O(N + n log n): finds the n-th best value without sorting, then sorts only the n. 8 ms for a
    million rewards.
    """
    if n >= len(rewards):
        rows = np.arange(len(rewards))
    elif n < 1:
        return np.zeros(0, dtype=np.int64)
    else:
        threshold = np.partition(rewards, len(rewards) - n)[len(rewards) - n]
        above = np.flatnonzero(rewards > threshold)
        level = np.flatnonzero(rewards == threshold)[len(above) - n :]
        rows = np.concatenate([above, level])
    return rows[np.lexsort((-rows, -rewards[rows]))]


class UniformSampler:
    """All rows with the same weight."""

    def choose(self, rewards: np.ndarray, n: int, random: np.random.Generator) -> np.ndarray:
        return _draw(np.arange(len(rewards)), n, random)

    def per_shard(self, shards: int) -> UniformSampler:
        return self


class RankSampler:
    """The best rows; the higher the rank, the more often.

    Only the best `top` rows are eligible, N of them, with weight

        w(rank) ~ 1 / (k N + rank),   rank = 0 for the best

    (Tripp, Daxberger, Hernandez-Lobato 2020, "Sample-efficient optimization in the latent space of
    deep generative models via weighted retraining"). k -> 0 takes the best row alone, k -> infinity
    is uniform over the top. Without replacement the weights hold for the first row drawn, and for
    each further one among those left. O(N) per call, see `best_rows`.

    On each of R `shards` the best top/R are eligible. The s-th of them stands for R rows of all
    shards and has the weight of their middle rank, R s + (R - 1)/2.
    """

    def __init__(self, top: int = 1024, k: float = 0.01, shards: int = 1) -> None:
        if top < 1 or not k > 0:
            raise ValueError(f"need top >= 1 and k > 0, got {top} and {k}")
        self.top, self.k, self.shards = top, k, shards

    def choose(self, rewards: np.ndarray, n: int, random: np.random.Generator) -> np.ndarray:
        rows = best_rows(rewards, max(1, round(self.top / self.shards)))
        weights = rank_weights(len(rows), self.k, self.shards)
        shares = weights / weights.sum()
        drawn = [_draw(rows, size, random, shares) for size in equal_parts(n, self.shards)]
        return np.concatenate(drawn)

    def per_shard(self, shards: int) -> RankSampler:
        return RankSampler(self.top, self.k, shards)


def rank_weights(n: int, k: float, shards: int = 1) -> np.ndarray:
    """Weights of the n best rows of a shard, best first, as `RankSampler` draws them: float64 [n],
    not normalised."""
    ranks = shards * np.arange(n) + (shards - 1) / 2
    weights: np.ndarray = 1.0 / (k * shards * n + ranks)
    return weights


class FreshMix:
    """A share of the rows uniformly from the newest ones, the rest as `base` chooses.

    fresh: the share, 0 to 1, rounded at random where n rows can't be split so. fresh_window: how
    many rows count as newest; on each of R `shards` an R-th of that. Fresh rows aren't among those
    that `base` chose while others remain.
    """

    def __init__(
        self, base: RowSampler, fresh: float = 0.25, fresh_window: int = 1024, shards: int = 1
    ) -> None:
        if not 0 <= fresh <= 1 or fresh_window < 1:
            raise ValueError(
                f"need 0 <= fresh <= 1 and fresh_window >= 1, got {fresh} and {fresh_window}"
            )
        self.base, self.fresh, self.fresh_window = base, fresh, fresh_window
        self.shards = shards

    def choose(self, rewards: np.ndarray, n: int, random: np.random.Generator) -> np.ndarray:
        fresh = round_at_random(n * self.fresh, random)
        rows = self.base.choose(rewards, n - fresh, random)
        window = max(1, round(self.fresh_window / self.shards))
        newest = np.arange(max(0, len(rewards) - window), len(rewards))
        drawn, done = [rows], 0
        sizes = zip(
            equal_parts(n - fresh, self.shards), equal_parts(fresh, self.shards), strict=True
        )
        for from_base, size in sizes:
            others = np.setdiff1d(newest, rows[done : done + from_base])
            drawn.append(_draw(others if len(others) >= size else newest, size, random))
            done += from_base
        return np.concatenate(drawn)

    def per_shard(self, shards: int) -> FreshMix:
        return FreshMix(self.base.per_shard(shards), self.fresh, self.fresh_window, shards)


def equal_parts(n: int, parts: int) -> list[int]:
    """n as a sum of `parts` whole numbers that differ by at most 1."""
    return [n // parts + (i < n % parts) for i in range(parts)]


def round_at_random(x: float, random: np.random.Generator) -> int:
    """One of the two integers next to x, at random so that the mean is x."""
    return int(np.floor(x + random.random()))


def _draw(
    rows: np.ndarray, n: int, random: np.random.Generator, weights: np.ndarray | None = None
) -> np.ndarray:
    if len(rows) == 0:
        raise ValueError("there are no rows to choose from")
    return random.choice(rows, n, replace=n > len(rows), p=weights)
