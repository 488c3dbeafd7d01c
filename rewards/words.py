"""How a process ended, and the last it said, in words for a record."""

from __future__ import annotations

import os
import signal


def how_it_ended(status: int) -> str:
    """A wait status in text, such as "segmentation fault (SIGSEGV)"."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        text = (signal.strsignal(number) or "ended by a signal").lower()
        name = signal.Signals(number).name if number in set(signal.Signals) else f"{number}"
        return f"{text} ({name})"
    return f"exited with code {os.WEXITSTATUS(status)}"


def last_line(tail: bytes) -> str:
    """The last line that isn't blank; "" where there is none."""
    lines = tail.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
