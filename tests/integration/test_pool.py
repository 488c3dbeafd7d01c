"""The pool of scorers, with a scorer that can't start."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import ray

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.scoring.attachments import AttachmentStore
from sequence_tutor.distributed.scoring.pool import ScorerPool
from sequence_tutor.distributed.scoring.task import EpisodeSlice
from sequence_tutor.distributed.start_processes import start_scorers
from sequence_tutor.distributed.types import ScoreReport


def test_a_scorer_that_cannot_start_raises(local_ray: None, make_run: Callable[..., RunConfig]):
    pool: ScorerPool[ScoreReport] = ScorerPool(
        start_scorers(make_run(), [], least=1, most=1, files=AttachmentStore("files")), first=64
    )
    pool.put(EpisodeSlice(ray.put(None), 0, 5))
    deadline = time.monotonic() + 240
    with pytest.raises(RuntimeError, match=r"(?s)a scorer can't start.*at least one shard"):
        while time.monotonic() < deadline:
            pool.dispatch()
            time.sleep(0.1)
    assert (pool.waiting, pool.scoring) == (5, 0)
    assert pool.lost == pool.retried == 0
