"""Choices of rows, against slow obvious references."""

import numpy as np
import pytest

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
def test_without_replacement_while_rows_last(sampler):
    rewards, random = np.arange(60.0), np.random.default_rng(0)
    for n in (1, 17, 30):
        chosen = sampler.choose(rewards, n, random)
        assert chosen.dtype == np.int64 and len(set(chosen.tolist())) == n
    assert len(sampler.choose(rewards, 100, random)) == 100
    assert sampler.choose(rewards[:1], 3, random).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="no rows"):
        sampler.choose(rewards[:0], 1, random)


def test_uniform_reaches_all_rows_alike():
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
def test_refuses_what_makes_no_sense(make):
    with pytest.raises(ValueError):
        make()
