"""The files of a run that are appended to, or written by libraries which only know paths.

In a run directory on this machine they are written where they belong. One elsewhere has a working
copy on the driver's machine, uploaded now and then, at every checkpoint and at the end: what a
crash can lose is what was written since.
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

# Seconds between uploads; longer where one takes more than this share of the time.
UPLOAD_EVERY_S, UPLOAD_SHARE = 60.0, 0.05


class WorkingCopy:
    """A context manager round a run. path: the directory to write into."""

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
        """Upload the rest. Where that fails it stays here and the error, if there is no other, says
        so."""
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
        """Have a file of an earlier start here, if there is one."""
        if not self.out.is_local and (self.out / name).is_file():
            (self.path / name).write_bytes((self.out / name).read())

    def upload(self) -> None:
        """Every file that changed since it was uploaded last. Raises StorageError."""
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
        """A text for people with the place where files will be for the one where they are."""
        if self.out.is_local:
            return text
        here = re.escape(str(self.path)) + r"/([^\s:,;]+)"
        return re.sub(here, lambda found: str(self.out / found[1]), text)

    def _keep_uploading(self) -> None:
        complaint = FailureReporter(f"upload to {self.out}", self._console)
        pause = UPLOAD_EVERY_S
        while not self._ended.wait(pause):
            started = time.monotonic()
            with complaint.instead_of_error():
                self.upload()
            pause = max(UPLOAD_EVERY_S, (time.monotonic() - started) / UPLOAD_SHARE)
