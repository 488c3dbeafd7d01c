"""Drives runs of the local engine, and reads what they recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from records import rows_on_record

from sequence_tutor.distributed.local import LocalRun
from sequence_tutor.distributed.types import Scored


def rows(out: Path) -> Scored:
    """The rows of a run's record, ordered by key."""
    record = rows_on_record(out / "scores")
    return record.select(np.argsort(record.keys))


def rounds(run: LocalRun, until: int) -> dict[str, np.ndarray]:
    """The weights after `until` rounds."""
    while run.tally.rounds < until:
        run.train()
    run.drain()
    return run.newest_weights()[1]
