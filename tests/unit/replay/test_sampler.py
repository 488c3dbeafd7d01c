"""Samplers of rows against slow obvious references."""

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from sequence_tutor.distributed.replay.sampler import (
    FreshMix,
    RankSampler,
    UniformSampler,
    best_rows,
)


@pytest.mark.parametrize("rows,n", [(0, 3), (5, 0), (5, 5), (5, 9), (200, 1), (200, 60)])
def test_best_rows_is_a_sort_with_newest_first(rows, n):
    # few different values, so that ties straddle the n-th place
    rewards = np.random.default_rng(n).integers(0, 6, rows).astype(float)
    reference = sorted(range(rows), key=lambda i: (-rewards[i], -i))[:n]
    assert best_rows(rewards, n).tolist() == reference


def chi_square(counts: np.ndarray, weights: np.ndarray) -> float:
    """Per degree of freedom: about 1 if counts were drawn with these weights."""
    expected = counts.sum() * weights / weights.sum()
    return float(((counts - expected) ** 2 / expected).sum() / (len(counts) - 1))


def test_rank_weights_follow_the_formula():
    rewards = np.random.default_rng(0).permutation(50).astype(float)
    sampler, random = RankSampler(top=40, k=0.05), np.random.default_rng(1)
    drawn = [int(sampler.choose(rewards, 1, random)[0]) for _ in range(20_000)]
    ranks = 49 - rewards[drawn].astype(int)
    assert ranks.max() < 40
    counts = np.bincount(ranks, minlength=40)
    assert chi_square(counts, 1 / (0.05 * 40 + np.arange(40))) < 1.7
    # the control: other weights don't pass
    assert chi_square(counts, 1 / (0.05 * 50 + np.arange(40))) > 1.7
    assert chi_square(counts, 1 / (0.05 * 40 + np.arange(40) + 1)) > 1.7


def test_fewer_rows_than_top_are_ranked_among_themselves():
    random = np.random.default_rng(1)
    drawn = [int(RankSampler(top=1024, k=0.1).choose(np.arange(5.0), 1, random)[0])
             for _ in range(20_000)]  # fmt: skip
    counts = np.bincount(drawn, minlength=5)[::-1]
    assert chi_square(counts, 1 / (0.5 + np.arange(5))) < 3.5
    assert chi_square(counts, 1 / (102.4 + np.arange(5))) > 3.5


@pytest.mark.parametrize(
    "sampler",
    [UniformSampler(), RankSampler(top=30), FreshMix(RankSampler(top=30), 0.5, fresh_window=30)],
)
def test_rows_are_drawn_without_replacement_while_they_last(sampler):
    rewards, random = np.arange(60.0), np.random.default_rng(0)
    for n in (1, 17, 30):
        chosen = sampler.choose(rewards, n, random)
        assert chosen.dtype == np.int64 and len(set(chosen.tolist())) == n
    assert len(sampler.choose(rewards, 100, random)) == 100
    assert sampler.choose(rewards[:1], 3, random).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="no rows"):
        sampler.choose(rewards[:0], 1, random)


def test_the_uniform_sampler_draws_all_rows_equally():
    random = np.random.default_rng(0)
    drawn = np.concatenate(
        [UniformSampler().choose(np.arange(20.0), 5, random) for _ in range(2000)]
    )
    assert chi_square(np.bincount(drawn, minlength=20), np.ones(20)) < 2


def test_fresh_share_comes_from_the_newest_rows():
    rewards = -np.arange(1000.0)  # the newest are the worst
    sampler = FreshMix(RankSampler(top=100), fresh=0.3, fresh_window=50)
    random = np.random.default_rng(0)
    drawn = np.concatenate([sampler.choose(rewards, 5, random) for _ in range(2000)])
    fresh = drawn >= 950
    assert ((drawn < 100) | fresh).all()
    assert abs(fresh.mean() - 0.3) < 0.01  # 1.5 of 5 rows: in the mean
    assert chi_square(np.bincount(drawn[fresh] - 950, minlength=50), np.ones(50)) < 1.6


@pytest.mark.parametrize(
    "make",
    [
        lambda: RankSampler(top=0),
        lambda: RankSampler(k=0),
        lambda: FreshMix(UniformSampler(), fresh=1.1),
        lambda: FreshMix(UniformSampler(), fresh_window=0),
    ],
)
def test_wrong_arguments_raise(make):
    with pytest.raises(ValueError):
        make()


ROWS, TOP, WINDOW = 8000, 1024, 1024
REWARDS = np.random.default_rng(5).permutation(ROWS).astype(float)


def drawn_by_shards(shards: int, sampler, batches: int = 300, n: int = 64) -> np.ndarray:
    """Row numbers drawn from this number of shards; rows are assigned to shards at random."""
    random = np.random.default_rng(shards)
    owner = random.integers(0, shards, ROWS)
    drawn = []
    for shard in range(shards):
        rows = np.flatnonzero(owner == shard)
        for _ in range(round(batches * len(rows) / ROWS)):
            drawn.append(rows[sampler.choose(REWARDS[rows], n, random)])
    return np.concatenate(drawn)


def by_reward(rows: np.ndarray) -> np.ndarray:
    """Counts in tenths of the best TOP rows, best first, and in tenths of all rows below them. Rows
    near the edge are in one bin, as each of R shards has its own edge, TOP (1 +- sqrt(R / TOP))."""
    ranks = ROWS - 1 - REWARDS[rows]
    edges = [*np.arange(0, 0.75, 0.1) * TOP, *np.linspace(1.3 * TOP, ROWS, 11)]
    return np.histogram(ranks, edges)[0]


def by_age(rows: np.ndarray) -> np.ndarray:
    """Counts in tenths of the newest WINDOW rows, near its edge, and of all older ones."""
    ages = ROWS - 1 - rows
    return np.histogram(ages, [*np.arange(0, 0.75, 0.1) * WINDOW, 1.3 * WINDOW, ROWS])[0]


def p_value(a: np.ndarray, b: np.ndarray) -> float:
    """p-value of the hypothesis that two samples' counts are of one distribution."""
    counts = np.stack([a, b])
    return float(chi2_contingency(counts[:, counts.any(0)]).pvalue)


RANK = RankSampler(TOP), by_reward
FRESH = FreshMix(RankSampler(TOP), 0.25, WINDOW), by_reward
NEWEST = FreshMix(UniformSampler(), 0.25, WINDOW), by_age


@pytest.mark.parametrize("shards", [2, 4, 8])
@pytest.mark.parametrize("sampler,counts", [(UniformSampler(), by_reward), RANK, FRESH, NEWEST])
def test_any_number_of_shards_draws_the_same_distribution(sampler, counts, shards):
    whole = drawn_by_shards(1, sampler)
    parts = drawn_by_shards(shards, sampler.per_shard(shards))
    assert p_value(counts(whole), counts(parts)) > 1e-3


@pytest.mark.parametrize("shards", [2, 8])
@pytest.mark.parametrize("sampler,counts", [RANK, FRESH, NEWEST])
def test_control_an_undivided_sampler_draws_another_distribution(sampler, counts, shards):
    """The control: the best or newest rows of each shard are more than those of all."""
    whole = drawn_by_shards(1, sampler)
    parts = drawn_by_shards(shards, sampler)
    assert p_value(counts(whole), counts(parts)) < 1e-9


def test_control_dividing_only_the_top_draws_another_distribution():
    """The control for drawing in parts: a batch of 64 takes all of a shard's best 64 rows."""
    whole = drawn_by_shards(1, RankSampler(TOP))
    parts = drawn_by_shards(8, RankSampler(TOP // 8))
    assert p_value(by_reward(whole), by_reward(parts)) < 1e-9


def test_a_shard_draws_in_parts():
    sampler, random = RankSampler(80, k=1e-6).per_shard(4), np.random.default_rng(0)
    for n in (1, 3, 10, 64):
        drawn = sampler.choose(np.arange(1000.0), n, random)
        assert len(drawn) == n and drawn.min() >= 980
        assert np.bincount(drawn).max() <= 4
    assert len(FreshMix(sampler, 0.5, 40, 4).choose(np.arange(9.0), 64, random)) == 64
