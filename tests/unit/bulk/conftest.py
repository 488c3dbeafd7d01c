"""Results of made-up lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from sequence_tutor.distributed.bulk.results import LineResults
from sequence_tutor.rewards.base import Scores, Status


@pytest.fixture
def make_results() -> Callable[..., LineResults]:
    """Results of the lines first to first + n - 1; the values depend on the line's number."""

    def make(
        first: int, n: int, status: Sequence[Status] = (), raw: Sequence[str] = ()
    ) -> LineResults:
        numbers = np.arange(first, first + n)
        scores = Scores(
            rewards=numbers / 3,
            status=np.array(status or [Status.OK] * n, dtype=np.int8),
            errors=[""] * n,
            seconds=np.full(n, 0.1, dtype=np.float32),
            raw={name: numbers / 7 for name in raw},
        )
        sequences, keys = [f"s{i}" for i in numbers], [f"k{i}" for i in numbers]
        return LineResults(sequences, keys, scores)

    return make
