"""The pool of scorers, where a scorer can't even start."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import ray

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.scoring import ScorerPool


def test_a_scorer_that_can_not_start_ends_the_run(
    local_ray: None, make_run: Callable[..., RunConfig]
):
    pool = ScorerPool(make_run(), "a run that isn't there")
    pool.put(ray.put(None))
    pool.dispatch()
    assert (pool.waiting, pool.scoring) == (0, 1)
    deadline = time.monotonic() + 60
    with pytest.raises(RuntimeError, match=r"(?s)a scorer can't start.*isn't there-board"):
        while time.monotonic() < deadline:
            pool.collect(1.0)
    assert pool.lost_batches == 0
