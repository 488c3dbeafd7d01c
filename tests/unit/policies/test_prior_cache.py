"""The cache of the prior's log-probabilities."""

import numpy as np
import torch

from sequence_tutor.policies.encodings.base import pad
from sequence_tutor.policies.kernels.prior_cache import PriorCache


class Counting:
    """A fake prior: log p of action a is -a / 10. Records the episodes it is called with."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def __call__(self, actions: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        self.asked += [row[:n].tolist() for row, n in zip(actions, lengths, strict=True)]
        return -actions.float() / 10 - 7 * (torch.arange(actions.shape[1]) >= lengths[:, None])


def test_each_episode_is_computed_once():
    compute = Counting()
    cache = PriorCache(compute, torch.device("cpu"))
    tokens, lengths = pad([np.array(e, np.int16) for e in ([1, 2, 3], [1, 2], [1, 2, 3], [4])])
    other = pad([np.array(e, np.int16) for e in ([1, 2], [5])])
    out, second = cache([(tokens, lengths), other])
    np.testing.assert_allclose(out, np.where(tokens > 0, -tokens / 10, 0), rtol=1e-6)
    np.testing.assert_allclose(second, [[-0.1, -0.2], [-0.5, 0.0]], rtol=1e-6)
    assert sorted(compute.asked) == [[1, 2], [1, 2, 3], [4], [5]]
    # the padding of an episode has no influence
    wider = np.pad(tokens[::-1], ((0, 0), (0, 2)))
    np.testing.assert_array_equal(cache([(wider, lengths[::-1])])[0][:, :3], out[::-1])
    assert len(compute.asked) == 4
    cache([pad([np.array([1], np.int16), np.array([4], np.int16)])])
    assert compute.asked[4:] == [[1]]


def one(token: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.array([[token]], np.int16), np.array([1]))]


def test_the_least_recently_used_are_dropped():
    compute = Counting()
    cache = PriorCache(compute, torch.device("cpu"), capacity=2)
    for token in (1, 2, 1, 3):  # 3 replaces 2
        cache(one(token))
    assert len(cache) == 2 and compute.asked == [[1], [2], [3]]
    cache(one(1))
    cache(one(2))
    assert compute.asked[3:] == [[2]]
    # a batch may be larger than the cache
    tokens = np.arange(1, 6, dtype=np.int16)[:, None]
    (out,) = cache([(tokens, np.ones(5, np.int32))])
    np.testing.assert_allclose(out, -tokens / 10, rtol=1e-6)


def test_a_cache_of_capacity_0_stores_nothing():
    compute = Counting()
    cache = PriorCache(compute, torch.device("cpu"), capacity=0)
    cache(one(1) + one(1))
    cache(one(1))
    assert compute.asked == [[1], [1]]
