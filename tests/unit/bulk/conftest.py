"""Results to be written."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from sequence_tutor.distributed.bulk.results import Judged
from sequence_tutor.rewards.base import Status


@pytest.fixture
def make_judged() -> Callable[..., Judged]:
    """Lines first to first + n - 1: what they hold tells which they are."""

    def make(first: int, n: int, status: Sequence[Status] = (), raw: Sequence[str] = ()) -> Judged:
        numbers = np.arange(first, first + n)
        return Judged(
            sequences=[f"s{i}" for i in numbers],
            keys=[f"k{i}" for i in numbers],
            rewards=numbers / 3,
            status=np.array(status or [Status.OK] * n, dtype=np.int8),
            errors=[""] * n,
            seconds=np.full(n, 0.1, dtype=np.float32),
            raw={name: numbers / 7 for name in raw},
        )

    return make
