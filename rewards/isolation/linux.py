"""Linux calls: end orphans, limit memory, measure how busy a process is."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def _prctl(option: int, value: int) -> None:
    # the result is ignored, since both options are only a second safeguard
    ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def die_with_parent(yes: bool = True) -> None:
    """Have this process killed when the thread that started it ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL if yes else 0)


def adopt_orphans() -> None:
    """Make this process the parent of descendants whose parent ends, so that they can be found."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def be_the_first_to_go() -> None:
    """Let the kernel end this process first where the machine runs out of memory."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def children_of(pid: int) -> list[int]:
    """Process ids of its running and ended children; [] where the kernel doesn't list them."""
    found: list[int] = []
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as file:
                found += map(int, file.read().split())
    return found


def activity(pid: int) -> tuple[float, bool]:
    """CPU seconds of a process and its descendants so far, and whether one of them runs or waits
    for a CPU. Raises OSError where that is unknown."""
    with open(f"/proc/{pid}/stat") as file:
        # the program's name, in parentheses, may contain any character
        fields = file.read().rpartition(")")[2].split()
    # its own time and that of children it has waited for
    cpu_s = sum(map(int, fields[11:15])) / _TICKS_PER_S
    running = fields[0] == "R"
    for child in children_of(pid):
        with suppress(OSError):  # it may have ended
            more_s, runs = activity(child)
            cpu_s, running = cpu_s + more_s, running or runs
    return cpu_s, running


def data_meter() -> Callable[[], int]:
    """A function that returns the bytes of data this process has allocated, in 2 microseconds."""
    file = os.open("/proc/self/statm", os.O_RDONLY)
    return lambda: int(os.pread(file, 128, 0).split()[5]) * _PAGE_BYTES


def limit_data(limit_bytes: int) -> Callable[[], None]:
    """Let allocations beyond `limit_bytes` of data fail; returns a function to lift the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit_bytes = min(limit_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, hard))
    return lambda: resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def no_core_files() -> None:
    """Write no core file at a crash, since a reward may crash a thousand times."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
