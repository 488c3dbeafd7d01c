"""The ways a command ends early: a stop on request, or an error that says why."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class RunError(RuntimeError):
    """A run can't go on; the message says why and what to do."""


class BrokenRewardError(RunError):
    """The reward has never worked, so another try is of no use."""


class StoppedError(RunError):
    """A stop was requested before the run had anything to save."""


class ResourceError(ValueError):
    """The cluster is too small for the run; the message says what is missing and what to change."""


class StopRequest:
    """The first Ctrl-C or SIGTERM sets `wanted`; the second raises KeyboardInterrupt.

    Python delivers signals to the main thread only. In another thread, as in some notebooks, the
    handlers stay as they are.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._previous: dict[int, Callable[..., object] | int | None] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.getsignal(number) for number in SIGNALS}
        self.listen()
        return self

    def listen(self) -> None:
        """Set the signal handlers; call it again after `ray.init`, which sets one for SIGTERM."""
        for number in self._previous:
            signal.signal(number, self._handle)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True
