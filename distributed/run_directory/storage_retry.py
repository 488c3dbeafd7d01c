"""Retries where storage fails: prints the failure, and raises it only once it has lasted."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console

# Seconds between two sentences about the same failure.
SAY_EVERY_S = 300.0
# In `retry_storage`: seconds between two attempts, and seconds after which the error is raised.
RETRY_S, STORAGE_PATIENCE_S = 5.0, 120.0

T = TypeVar("T")


class FailureReporter:
    """Prints that an action fails, again every SAY_EVERY_S while it does, and when it works again.

    what: the action, such as "upload to s3://bucket/run". patience_s: seconds for which it may go
    on failing.
    """

    def __init__(self, what: str, console: Console, patience_s: float = math.inf) -> None:
        self._what, self._console, self._patience_s = what, console, patience_s
        self._since: float | None = None
        self._said = 0.0

    @property
    def goes_on(self) -> bool:
        """Whether the action failed the last time."""
        return self._since is not None

    @contextmanager
    def instead_of_error(self) -> Iterator[None]:
        """Print an OSError of the block; raise it once failures have lasted `patience_s`."""
        try:
            yield
        except OSError as error:
            now = time.monotonic()
            if self._since is None:
                self._since = now
            elif now - self._since >= self._patience_s:
                raise
            elif now - self._said < SAY_EVERY_S:
                return
            self._said = now
            self._say(f"can't {self._what} at present, and will try again: {reason(error)}")
        else:
            if self._since is not None:
                failed_s = time.monotonic() - self._since
                self._say(f"can {self._what} again, after {failed_s:.0f} s")
            self._since = None

    def _say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)


def retry_storage(action: Callable[[], T], what: str, console: Console) -> T:
    """Repeat an action while it raises OSError, at most for STORAGE_PATIENCE_S."""
    failures = FailureReporter(what, console, STORAGE_PATIENCE_S)
    while True:
        with failures.instead_of_error():
            return action()
        time.sleep(RETRY_S)


def reason(error: BaseException) -> str:
    """An error of storage in one line, without the traceback of the Ray actor that raised it."""
    cause = getattr(error, "cause", None) or error
    return next((line.strip() for line in str(cause).splitlines() if line.strip()), repr(cause))
