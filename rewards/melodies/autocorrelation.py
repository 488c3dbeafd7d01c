"""Autocorrelation in whole numbers, so that rounding can't change whether it exceeds 0.15."""

from __future__ import annotations

import numpy as np

from sequence_tutor.rewards.melodies.melody import Floats, Ints

LAGS = (1, 2, 3)


def penalty(
    count: Ints, total: Ints, squares: Ints, products: list[Ints], ends: list[Ints]
) -> Floats:
    """-3 * sum over k = 1, 2, 3 of the |r_k| that exceed 0.15; shapes [...] -> [...].

    r_k = sum_{i>=k} (x_i - m)(x_{i-k} - m) / (L v), with mean m and population variance v of the
    L = `count` numbers; 0 where v = 0 or L <= k. With total X = sum x_i, squares Q = sum x_i^2,
    products S_k = sum_{i>=k} x_i x_{i-k} and ends e_k = sum of the first k and the last k numbers,
    multiplying through by L leaves only whole numbers:

        r_k = (L^2 S_k - L X (2 X - e_k) + (L - k) X^2) / (L (L Q - X^2))

    Numbers to 37 and L below 2^16 keep every term under 2^61.
    Source: Jaques et al. 2017, "Sequence Tutor"; magenta's rl_tuner.
    """
    scale = count * (count * squares - total * total)
    # at least 1: for a constant x the scale and all shares are 0, and nothing is to be penalised
    threshold, scale = 3 * scale, np.maximum(scale, 1)
    exceeding = np.zeros(total.shape)
    for k, product, end in zip(LAGS, products, ends, strict=True):
        share = count * (count * product - total * (2 * total - end)) + (count - k) * total * total
        share = np.abs(share)
        counts = (count > k) & (20 * share > threshold)
        np.add(exceeding, share / scale, out=exceeding, where=counts)
    return -3 * exceeding
