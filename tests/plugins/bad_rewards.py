"""Rewards that crash, hang, leak or otherwise harm their process.

Each call is noted before anything else happens, by one line in the file that the environment names.
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

NOTES = "BAD_REWARDS_NOTES"
# never freed
_leaked: list[bytearray] = []


def note(text: str) -> None:
    if path := os.environ.get(NOTES):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{text}\n".encode())
        os.close(file)


def value(smiles: str) -> float:
    """The reward of a good molecule."""
    return len(smiles) / 7


def carbons(smiles: str) -> float:
    """A reward without faults."""
    note(smiles)
    return value(smiles)


def pid(smiles: str) -> float:
    """The id of the process."""
    note(smiles)
    return float(os.getpid())


def by_element(smiles: str) -> object:
    """Commits the fault in `DEEDS` that belongs to the first letters of the molecule."""
    note(smiles)
    for letters, deed in DEEDS.items():
        if smiles.startswith(letters):
            return deed()
    return value(smiles)


def falls_for_b(melody: str) -> float:
    """Ends the process if a melody begins with a B."""
    return os._exit(3) if melody.startswith("B") else value(melody)


def batch(smiles: list[str]) -> list[float]:
    """As `by_element`, for a batch."""
    note(" ".join(smiles))
    for one in smiles:
        for letters, deed in DEEDS.items():
            if one.startswith(letters):
                deed()
    return [value(one) for one in smiles]


def leaky(smiles: str) -> float:
    """Each call keeps 30 MB; those with nitrogen need 60 more for a moment."""
    note(smiles)
    _leaked.append(bytearray(30 << 20))
    if "N" in smiles:
        bytearray(60 << 20)
    return value(smiles)


def flaky(smiles: str) -> float:
    """Nitrogen works at the third call, in any process; sulphur never."""
    note(smiles)
    path = os.environ[NOTES]
    times = Path(path).read_text().split().count(smiles)
    if "S" in smiles or ("N" in smiles and times < 3):
        if times == 1:
            os._exit(9)
        raise RuntimeError(f"attempt {times}")
    return value(smiles)


def with_helper(smiles: str) -> float:
    """Starts a program (for oxygen in a session of its own), notes the ids of this process, the
    program and the parent, and hangs."""
    program = subprocess.Popen(["sleep", "600"], start_new_session="O" in smiles)
    note(f"{os.getpid()} {program.pid} {os.getppid()}")
    time.sleep(600)
    return 0.0


def comes_back_twice(smiles: str) -> float:
    """Forks, and both processes return."""
    note(smiles)
    os.fork()
    return value(smiles)


def _segmentation_fault() -> None:
    ctypes.string_at(0)


def _raise() -> None:
    raise RuntimeError("no parameters for chlorine")


def _hoard() -> None:
    hoard = [bytearray(1 << 30) for _ in range(64)]
    raise AssertionError(f"{len(hoard)} GB could be had")


def _print() -> None:
    for stream in (sys.stdout, sys.stderr):
        for _ in range(5000):
            print("x" * 1000, file=stream)
    print("a last word", file=sys.stderr)
    os._exit(1)


def _chat() -> float:
    for stream in (sys.stdout, sys.stderr):
        for _ in range(5000):
            print("x" * 1000, file=stream)
    return 0.5


def _interrupt() -> None:
    raise KeyboardInterrupt


def _loop() -> None:
    while True:
        pass


def _scribble() -> None:
    """Writes nonsense to every open file."""
    for file in range(3, 64):
        try:
            os.write(file, b"nonsense")
        except OSError:
            pass


def _wait_in_a_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


DEEDS = {
    "F": lambda: math.nan,
    "Cl": _raise,
    "Br": _segmentation_fault,
    "I": lambda: os._exit(3),
    "[Na]": _hoard,
    "[K]": lambda: time.sleep(600),
    "[Li]": _loop,
    "P": _print,
    "S": lambda: sys.exit("no sulphur"),
    "O": lambda: "a string",
    "[He]": _interrupt,
    "[Ne]": _scribble,
    "[Ar]": lambda: os.closerange(3, 64),
    "[Kr]": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "[Xe]": _chat,
    "[Ca]": _wait_in_a_lock,
    "N": lambda: math.inf,
}
