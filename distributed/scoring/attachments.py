"""Stores what components keep for sequences, see `rewards.attachments`.

A scorer stores a sequence's files before its row, so a row on record has its files. A score that is
lost before it is on record is made again, and then its files are written again, with the same
names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from sequence_tutor.distributed.config import ReplayConfig
from sequence_tutor.policies.files.storage import Location, Where
from sequence_tutor.rewards.attachments import Attachment

# Seconds between two attempts where storage fails, and after which the error is raised: those of a
# shard. Meanwhile the scorer waits.
RETRY_S, PATIENCE_S = 30.0, 600.0


class AttachmentStore:
    """Writes files below a directory. Any threads may use it, and it can be sent to processes.

    directory: must be there, as a machine that doesn't see it must not write elsewhere; within: a
    path below it. sleep: waits for that many seconds. Raises OSError: of a directory on this
    machine at once, of others after PATIENCE_S.
    """

    def __init__(
        self, directory: Where, within: str = "", sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._directory, self._within, self._sleep = Location(directory), within, sleep

    def store(self, keys: Sequence[str], files: Sequence[Sequence[Attachment]]) -> None:
        """Write the files of B sequences, under names made of their keys."""
        for key, kept in zip(keys, files, strict=True):
            for file in kept:
                self._patiently(file, key)

    def _patiently(self, file: Attachment, key: str) -> None:
        waited_s = 0.0
        while True:
            try:
                return self._write(file, key)
            except OSError:
                if self._directory.is_local or waited_s >= PATIENCE_S:
                    raise
            self._sleep(RETRY_S)
            waited_s += RETRY_S

    def _write(self, file: Attachment, key: str) -> None:
        folder, _, name = f"{self._within}{file.path(key)}".rpartition("/")
        place = self._directory / folder
        if not (place.is_object_store or place.is_dir()):
            if not self._directory.is_dir():
                raise FileNotFoundError(f"there is no directory {self._directory} on this machine")
            place.make()
        (place / name).write(file.content)


def attachments_of(replay: ReplayConfig, out: Where, reward_id: str) -> AttachmentStore:
    """The files of a run in `out`: there, unless its record is elsewhere, which all nodes see and
    other runs may use too. Their folder's name there begins with an underscore, so that programs
    which read the record leave it out."""
    if replay.record is None:
        return AttachmentStore(out)
    return AttachmentStore(replay.record, f"_files-{reward_id}/")
