"""The pool's side of one child: the units it has received, the current one, its deadlines."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum

from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.isolation import linux
from sequence_tutor.rewards.isolation.channel import Channel
from sequence_tutor.rewards.isolation.child import Ending, Report, Started, UnitOrder
from sequence_tutor.rewards.isolation.launcher import StderrTail
from sequence_tutor.rewards.isolation.work import Unit, UnitResult

# Seconds that a child may take to begin a unit that it was sent, and to end after it was killed.
BIRTH_S, DEATH_S = 60.0, 10.0
# A child that uses a smaller share of a core, and isn't runnable, counts as blocked.
_BUSY_SHARE = 0.25
# Least seconds between two measurements; the kernel counts CPU time in hundredths of a second.
_LEAST_WINDOW_S = 0.05


class Due(Enum):
    """The reason to check a child at its next deadline."""

    NOTHING = "nothing"
    SUSPECT = "see whether it is stuck"
    TIME_OUT = "its unit has taken too long"
    UNBORN = "it has begun nothing"
    UNKILLABLE = "it was killed and isn't gone"


class Worker:
    """One child.

    sent: number -> unit that it hasn't begun, in order; unit: the current one; since: monotonic
    seconds when that was begun, or else when it became idle; begun: number of units begun;
    leaving: it gets no more units; dismissed: it was sent the request to end; stuck: it is blocked,
    so another child may work; verdict: status and error of its unit, where it was killed for that;
    not_its_fault: its unit isn't the cause of its end; words: the end of its standard error.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid: int | None = None
        self.channel, self.far = Channel.pair()
        self.words = StderrTail()
        self.sent: dict[int, Unit] = {}
        self.unit: Unit | None = None
        self.since = time.monotonic()
        self.begun = 0
        self.leaving = self.dismissed = self.stuck = self.not_its_fault = False
        self.ending: Ending | None = None
        self.verdict: tuple[Status, str] | None = None
        self.killed_at: float | None = None
        self._at = 0
        self._sample = (0.0, 0.0)

    def is_free(self) -> bool:
        """Whether it takes units."""
        return not (self.stuck or self.leaving)

    def started(self, pid: int) -> None:
        """Note that it runs. Its reports may arrive before this."""
        self.pid = pid
        if not self.begun:
            self.since = time.monotonic()

    # -- units -------------------------------------------------------------------------------

    def give(self, number: int, unit: Unit) -> bool:
        """Send a unit; returns False where its channel is full."""
        try:
            task = (number, unit.sequences, unit.tokens, unit.job.identifies, unit.known)
            self.channel.send(task, wait=False)
        except BlockingIOError:
            return False
        if self.unit is None and not self.sent:
            self.since = time.monotonic()
        self.sent[number] = unit
        return True

    def take_back(self) -> list[Unit]:
        """Take back the units that it hasn't received, in order."""
        units: list[Unit] = []
        # `far` is the child's end of the channel: a message read here doesn't reach the child
        with suppress(BlockingIOError):
            while True:
                task, _ = self.far.receive(wait=False)
                if task is not None:
                    units.append(self.sent.pop(UnitOrder(*task).number))
        return units

    def dismiss(self) -> list[Unit]:
        """Let it end after its current unit; returns the units that it won't score."""
        units, self.dismissed = self.leave(), True
        self.channel.send(None, wait=False)
        return units

    def leave(self) -> list[Unit]:
        """Give it no more units; returns those that it won't score."""
        self.leaving = True
        return self.take_back()

    def reports(self) -> Iterator[Report]:
        """Yield the reports that have arrived. Raises any exception for an unreadable one."""
        with suppress(BlockingIOError):
            while True:
                yield Report.of(self.channel.receive(wait=False)[0])

    def begin(self, started: Started) -> None:
        """Note that it has begun a unit."""
        self.unit = self.sent.pop(started.number)
        self._at = started.number
        self.since = started.at
        self.begun += 1
        self._sample = (started.at, started.cpu_s)

    def finish(self, done: UnitResult) -> Unit:
        """Note that it has finished a unit. Raises ValueError where it hadn't begun that one."""
        unit = self.unit
        if unit is None or done.number != self._at:
            raise ValueError(f"unit {done.number} was finished before it was begun")
        self.unit = None
        self.since = time.monotonic()
        return unit

    # -- the clock ---------------------------------------------------------------------------

    def due(self, patience_s: float, others_wait: bool) -> tuple[float, Due]:
        """The next deadline, monotonic seconds, and its reason. patience_s: age of its unit at
        which to check whether it is stuck, if other units wait."""
        if self.killed_at is not None:
            return self.killed_at + DEATH_S, Due.UNKILLABLE
        if self.unit is None:
            return (self.since + BIRTH_S, Due.UNBORN) if self.sent else (math.inf, Due.NOTHING)
        over = (self.since + self.unit.job.timeout_s * len(self.unit.rows), Due.TIME_OUT)
        if self.stuck or not others_wait:
            return over
        seen_at = self._sample[0]
        # the older the unit, the longer the time between two measurements
        window_s = max(_LEAST_WINDOW_S, (seen_at - self.since) / 8)
        suspect_at = max(self.since + patience_s, seen_at + window_s)
        return over if over[0] <= suspect_at else (suspect_at, Due.SUSPECT)

    def is_idle(self, now: float) -> bool:
        """Whether it and all its descendants have been blocked since the last measurement."""
        seen_at, cpu_then_s = self._sample
        try:
            cpu_s, running = linux.activity(self.pid or -1)
        except (OSError, ValueError, IndexError):  # unknown, so taken for busy
            cpu_s, running = cpu_then_s, True
        self._sample = (now, cpu_s)
        return not running and cpu_s - cpu_then_s < _BUSY_SHARE * (now - seen_at)

    def kill_group(self) -> None:
        """Kill its process group without the fork server, only where that has ended: while it runs,
        only the fork server knows whether the id is still this process's."""
        if self.pid is not None:
            with suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        self.channel.close()
        self.far.close()
        self.words.close()
