"""Raw values on record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sequence_tutor.distributed.replay.record.store import PartStore
from sequence_tutor.distributed.replay.record.writer import RecordWriter
from sequence_tutor.distributed.run_directory.recorded_values import recorded_values
from sequence_tutor.distributed.types import Scored
from sequence_tutor.rewards.base import Status


def test_a_part_without_a_new_valid_row_adds_nothing(
    make_scored: Callable[..., Scored], tmp_path: Path
):
    writer = RecordWriter(tmp_path, 0)
    for keys, status in (("ab", Status.OK), ("ba", Status.OK), ("cd", Status.TIMEOUT)):
        writer.append(make_scored(list(keys), status=[status] * 2))
        writer.flush()
    assert len(PartStore(tmp_path).parts()) == 3
    assert recorded_values(PartStore(tmp_path), "").keys == ["a", "b"]
