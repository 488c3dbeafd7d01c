"""The pool of scorers, where a scorer can't even start."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import ray

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.scoring import EpisodeSlice, ScorerPool
from sequence_tutor.distributed.types import ScoreReport


def test_a_scorer_that_can_not_start_ends_the_run(
    local_ray: None, make_run: Callable[..., RunConfig]
):
    pool: ScorerPool[ScoreReport] = ScorerPool(make_run(), shards=[], count=1)
    pool.put(EpisodeSlice(ray.put(None), 0, 5))
    pool.dispatch()
    assert (pool.waiting, pool.scoring) == (0, 5)
    deadline = time.monotonic() + 60
    with pytest.raises(RuntimeError, match=r"(?s)a scorer can't start.*at least one shard"):
        while time.monotonic() < deadline:
            pool.collect(1.0)
    assert pool.lost == pool.retried == 0
