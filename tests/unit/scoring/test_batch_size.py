from __future__ import annotations

import pytest

from sequence_tutor.distributed.scoring.batch_size import LARGEST, SMALLEST, BatchSize


@pytest.mark.parametrize(
    ("row_s", "expected"), [(0.001, 1000), (0.01, 100), (30.0, 1), (1e-6, LARGEST), (0.0, LARGEST)]
)
def test_batches_approach_the_target_duration(row_s: float, expected: int):
    size = BatchSize(target_s=1.0)
    assert size() == SMALLEST == 1 and size.seconds_per_row == 0.0
    for _ in range(6):
        size.report(size(), size() * row_s)
    assert size() == pytest.approx(expected, rel=0.02)
    assert size.seconds_per_row == pytest.approx(row_s)


def test_a_report_changes_the_size_at_most_fourfold():
    size = BatchSize(first=16)
    sizes = []
    for row_s in (1e-9, 1e-9, 1e-9, 1e-9, 1e9, 1e9):
        size.report(10, 10 * row_s)
        sizes.append(size())
    assert sizes == [64, 256, 1024, 1024, 256, 64]


def test_one_slow_batch_is_smoothed_and_forgotten():
    size = BatchSize(target_s=1.0, first=100)
    size.report(100, 1.0)
    size.report(100, 2.0)  # not down to 50 at once
    assert size() == pytest.approx(67, abs=1)
    for _ in range(8):
        size.report(100, 1.0)
    assert size() == pytest.approx(100, abs=1)


def test_an_empty_report_changes_nothing():
    size = BatchSize(first=100_000)
    assert size() == LARGEST
    size.report(0, 99.0)
    assert size() == LARGEST
    with pytest.raises(ValueError, match="target_s"):
        BatchSize(target_s=0.0)
