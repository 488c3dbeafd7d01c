"""A rate of requests that holds for all scorers of a run together, without a word between them.

Time, by the clocks of the machines, is divided into slots of 1 / rate seconds, and the scorers take
turns: of N scorers, scorer i has the slots i, i + N, i + 2 N, ... A request waits for the next slot
of its scorer that is free. The processes of one scorer share a file in which the last taken slot
stands. So requests of the whole run are 1 / rate seconds apart, also after a scorer was replaced,
as far as the clocks agree; where they don't, each scorer still keeps its share of the rate.
"""

from __future__ import annotations

import fcntl
import math
import os
import tempfile
import time

from sequence_tutor.rewards.place import Turn

# Turns that may be taken ahead. A later one on file means that the clock was set back.
MOST_AHEAD = 10_000


def next_turn(now: float, last: int, rate: float, turn: Turn) -> tuple[int, float]:
    """The scorer's next turn k after `now` and after its last one, and its time:
    (k N + i) / rate in Unix seconds."""
    number = math.floor((now * rate - turn.scorer) / turn.scorers) + 1
    if last < number + MOST_AHEAD:
        number = max(number, last + 1)
    return number, (number * turn.scorers + turn.scorer) / rate


class Pace:
    """The slots of one scorer. Copies of it in forked processes share its file."""

    def __init__(self, rate: float, turn: Turn) -> None:
        self._rate, self._turn = rate, turn
        self._file = tempfile.TemporaryFile()

    def wait(self) -> None:
        """Take the next slot and wait for it."""
        at = self._take()
        while (left_s := at - time.time()) > 0:
            time.sleep(left_s)

    def _take(self) -> float:
        file = self._file.fileno()
        fcntl.lockf(file, fcntl.LOCK_EX)  # of the process, so that forked copies exclude each other
        try:
            last = int.from_bytes(os.pread(file, 8, 0), "little")
            number, at = next_turn(time.time(), last, self._rate, self._turn)
            os.pwrite(file, number.to_bytes(8, "little"), 0)
        finally:
            fcntl.lockf(file, fcntl.LOCK_UN)
        return at
