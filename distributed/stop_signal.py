"""How a command ends before its time: in order when asked to, with its cause when it must."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class RunError(RuntimeError):
    """A run can't go on; the message says why and what to do."""


class BrokenRewardError(RunError):
    """The reward has never worked, and won't by itself."""


class StoppedError(RunError):
    """It was asked to stop before there was anything to keep."""


class ResourceError(ValueError):
    """The cluster is too small for the run; the message says what is missing and what to change."""


class StopRequest:
    """Turns the first Ctrl-C or SIGTERM into a wish to stop; the second one interrupts. Only the
    main thread gets signals: in another one, as some notebooks have, nothing is changed."""

    def __init__(self) -> None:
        self.wanted = False
        self._previous: dict[int, Callable[..., object] | int | None] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.getsignal(number) for number in SIGNALS}
        self.listen()
        return self

    def listen(self) -> None:
        """Take the signals; once more after `ray.init`, which takes SIGTERM for itself."""
        for number in self._previous:
            signal.signal(number, self._handle)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True
