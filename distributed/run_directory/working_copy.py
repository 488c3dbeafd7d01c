"""The files of a run that are appended to, or written by libraries that can only write to paths.

In a run directory on this machine they are written in place. A run directory elsewhere has a
working copy on the driver's machine, which is uploaded every UPLOAD_EVERY_S, at every checkpoint
and at the end. A crash can lose what was written since the last upload.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console

from sequence_tutor.distributed.run_directory.storage_retry import FailureReporter, retry_storage
from sequence_tutor.policies.files.storage import Location

# Seconds between two uploads, and the largest share of the time that uploads may take: after a slow
# one the pause is longer.
UPLOAD_EVERY_S, UPLOAD_SHARE = 60.0, 0.05


class WorkingCopy:
    """A context manager for the time of a run. path: the directory to write into."""

    def __init__(self, out: Location, console: Console) -> None:
        self.out, self._console = out, console
        self.path = out.path if out.is_local else Path(tempfile.mkdtemp(prefix="sequence-tutor-"))
        self._uploaded: dict[Path, tuple[int, int]] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._uploader = threading.Thread(target=self._keep_uploading, daemon=True, name="uploads")

    def __enter__(self) -> WorkingCopy:
        if not self.out.is_local:
            self._uploader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Upload the rest. Where that fails, the working copy stays, and the failure is raised
        unless the block has raised an error."""
        if self.out.is_local:
            return
        self._ended.set()
        self._uploader.join()
        try:
            retry_storage(self.upload, f"upload to {self.out}", self._console)
        except OSError as failure:
            self._console.print(
                f"what couldn't be uploaded is in {self.path}", soft_wrap=True, markup=False
            )
            if error is None:
                raise
            self._console.print(str(failure), soft_wrap=True, markup=False)
        else:
            shutil.rmtree(self.path)

    def fetch(self, name: str) -> None:
        """Download a file of an earlier start, if there is one."""
        if not self.out.is_local and (self.out / name).is_file():
            (self.path / name).write_bytes((self.out / name).read())

    def upload(self) -> None:
        """Upload every file that has changed since its last upload. Raises StorageError."""
        if self.out.is_local:
            return
        with self._lock:
            for file in sorted(p for p in self.path.rglob("*") if p.is_file()):
                about = file.stat()
                state = about.st_size, about.st_mtime_ns
                if self._uploaded.get(file) != state:
                    (self.out / file.relative_to(self.path).as_posix()).write(file.read_bytes())
                    self._uploaded[file] = state

    def shown(self, text: str) -> str:
        """A text for people, with paths in the working copy replaced by their final places."""
        if self.out.is_local:
            return text
        here = re.escape(str(self.path)) + r"/([^\s:,;]+)"
        return re.sub(here, lambda found: str(self.out / found[1]), text)

    def _keep_uploading(self) -> None:
        failures = FailureReporter(f"upload to {self.out}", self._console)
        pause = UPLOAD_EVERY_S
        while not self._ended.wait(pause):
            started = time.monotonic()
            with failures.instead_of_error():
                self.upload()
            pause = max(UPLOAD_EVERY_S, (time.monotonic() - started) / UPLOAD_SHARE)
