"""Failed rows on record that are void: a resumed run scores their sequences again.

Parts are never changed. A small file beside them, one per reward configuration, says which failed
rows are void: those in parts before a given one in writing order. A void row is ignored: its key
isn't known and not paid for, and a later row of the same key counts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sequence_tutor.distributed.replay.claims import LOST
from sequence_tutor.distributed.replay.messages import FREE_SOURCES
from sequence_tutor.distributed.replay.record.store import PartStore, RecordError
from sequence_tutor.distributed.replay.record.writer import readable, scan
from sequence_tutor.rewards.base import Status

_STATUS = {status.name.lower(): int(status) for status in Status}


@dataclass(frozen=True)
class Retried:
    """Which failed rows of a reward configuration are void."""

    failed_before: int = 0
    """In parts with a lower sequence number, all failed rows are void."""
    lost_before: int = 0
    """In parts with a lower sequence number, rows given up after lost scorers are void."""

    def void(self, sequence: int, status: np.ndarray, errors: Sequence[str]) -> np.ndarray:
        """bool [B]: which rows of part number `sequence` are void; status int8 [B] of `Status`."""
        failed: np.ndarray = status > Status.INVALID
        if sequence < self.failed_before or not failed.any():
            return failed
        if sequence >= self.lost_before:
            return np.zeros(len(status), bool)
        void = np.zeros(len(status), bool)
        for row in np.flatnonzero(failed).tolist():
            void[row] = errors[row].startswith(LOST)
        return void


def read_retried(store: PartStore, reward_id: str) -> Retried:
    """Void rows of a reward configuration. Raises RecordError for a file that can't be used."""
    file = store.location / _name(reward_id)
    try:
        if not file.is_file():
            return Retried()
        return Retried(**{name: int(at) for name, at in json.loads(file.read()).items()})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RecordError(f"{file} can't be read: {error}; remove it to count failures") from error


def retry(store: PartStore, reward_id: str, failures: bool) -> int:
    """Make rows void before a run resumes, while nothing else writes rows of this reward: always
    those given up after lost scorers; the other failed rows where `failures` is set or the reward
    has never worked. Returns how many of the other failed rows have become void.

    Raises RecordError where the record can't be read, OSError where the file can't be written.
    """
    before = read_retried(store, reward_id)
    failed = _failures(store, reward_id, before, count_all=failures)
    parts = store.parts()
    following = parts[-1].sequence + 1 if parts else 0
    now = Retried(following if failed else before.failed_before, following)
    if now != before:
        (store.location / _name(reward_id)).write(json.dumps(asdict(now)) + "\n")
    return failed


def forgiven(failures: int, asked: bool) -> str:
    """A sentence for the user about the result of `retry`."""
    whose = "" if asked else " of a reward that never worked"
    return f"{failures:,} failures{whose} don't count; these sequences are tried again"


def _failures(store: PartStore, reward_id: str, before: Retried, count_all: bool) -> int:
    """How many rows failed and aren't void, without those given up after lost scorers. 0 where the
    reward has worked once, unless `count_all`."""
    found = 0
    wanted = ("status", "error", "source")
    for part, table, _ in scan(store, reward_id=reward_id, wanted=lambda name: name in wanted):
        with readable(store, part):
            texts = table.column("status").to_pylist()
            status = np.array([_STATUS[text] for text in texts], np.int8)
            free = pc.is_in(table.column("source"), pa.array(FREE_SOURCES)).to_numpy()
            errors = table.column("error").to_pylist()
        if not count_all and (~free & (status == Status.OK)).any():
            return 0
        lost = Retried(lost_before=part.sequence + 1).void(part.sequence, status, errors)
        void = before.void(part.sequence, status, errors)
        found += int(((status > Status.INVALID) & ~lost & ~void).sum())
    return found


def _name(reward_id: str) -> str:
    """Name of the file: with its "_", programs that read a directory of parts skip it."""
    return f"_retried-{reward_id or 'unnamed'}.json"
