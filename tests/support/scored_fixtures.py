"""Made-up scored sequences."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from sequence_tutor.distributed.types import Scored
from sequence_tutor.rewards.base import Status


@pytest.fixture
def make_scored() -> Callable[..., Scored]:
    """Makes batches with the given keys; other columns are random by `seed`, all different."""

    def make(
        keys: Sequence[str],
        rewards: Sequence[float] | None = None,
        status: Sequence[Status] | None = None,
        steps: bool = False,
        seed: int = 0,
    ) -> Scored:
        random = np.random.default_rng(seed)
        rows = len(keys)
        lengths = random.integers(1, 12, rows).astype(np.int32)
        inside = np.arange(lengths.max(initial=1)) < lengths[:, None]
        kinds = np.array(status or [Status.OK] * rows, dtype=np.int8)
        values = random.normal(size=rows) if rewards is None else np.array(rewards, dtype=float)
        values = np.where(kinds <= Status.INVALID, values, np.nan)
        paid = inside * random.normal(size=inside.shape)
        return Scored(
            tokens=(inside * random.integers(1, 30, inside.shape)).astype(np.int16),
            lengths=lengths,
            log_probs=random.normal(size=rows).astype(np.float32),
            rewards=values,
            step_rewards=paid.astype(np.float32) if steps else None,
            status=kinds,
            versions=random.integers(0, 99, rows).astype(np.int32),
            scored_at=1.7e9 + random.integers(0, 10**9, rows) / 1e6,
            seconds=random.random(rows).astype(np.float32),
            sequences=[f"{key}*" for key in keys],
            keys=list(keys),
            errors=[
                "" if k <= Status.INVALID else f"error of {x}"
                for k, x in zip(kinds, keys, strict=True)
            ],
            sources=[f"source {i % 2}" for i in range(rows)],
            actors=[f"actor {i % 3}" for i in range(rows)],
            raw={"qed": random.random(rows), "size": random.random(rows)},
            transformed={"qed": random.random(rows)},
        )

    return make


@pytest.fixture
def assert_same() -> Callable[[Scored, Scored], None]:
    """Checks that two batches are equal in every column and dtype, except for their padding."""

    def check(a: Scored, b: Scored) -> None:
        assert a.keys == b.keys
        for name in ("sequences", "errors", "sources", "actors"):
            assert getattr(a, name) == getattr(b, name), name
        for name in ("lengths", "log_probs", "rewards", "status", "versions", "seconds"):
            x, y = getattr(a, name), getattr(b, name)
            assert x.dtype == y.dtype, name
            np.testing.assert_array_equal(x, y, name)
        np.testing.assert_allclose(a.scored_at, b.scored_at, rtol=0, atol=1e-6)
        for kind in ("raw", "transformed"):
            x, y = getattr(a, kind), getattr(b, kind)
            assert x.keys() == y.keys()
            for name in x:
                np.testing.assert_array_equal(x[name], y[name], name)
        for name in ("tokens", "step_rewards"):
            x, y = getattr(a, name), getattr(b, name)
            assert (x is None) == (y is None), name
            if x is not None:
                assert x.dtype == y.dtype
                width = min(x.shape[1], y.shape[1])
                np.testing.assert_array_equal(x[:, :width], y[:, :width], name)
                assert not x[:, width:].any() and not y[:, width:].any()

    return check
