"""The pool's side of one child: what it was given, what it is at, when to look after it."""

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
from sequence_tutor.rewards.isolation.child import Ending, Report, Started, Task
from sequence_tutor.rewards.isolation.launcher import StderrTail
from sequence_tutor.rewards.isolation.work import Done, Unit

# How long a child may take to begin what it was given, and a killed one to be gone.
BIRTH_S, DEATH_S = 60.0, 10.0
# Who uses less than this share of a core, and isn't waiting for one, is waiting for something else.
_BUSY_SHARE = 0.25
# CPU time is counted in hundredths of a second.
_LEAST_WINDOW_S = 0.05


class Due(Enum):
    """What is to be done about a child at a certain time."""

    NOTHING = "nothing"
    SUSPECT = "see whether it is stuck"
    TIME_OUT = "its unit has taken too long"
    UNBORN = "it has begun nothing"
    UNKILLABLE = "it was killed and isn't gone"


class Worker:
    """One child.

    sent: units that it hasn't begun, by number, in order; unit: the one it is at; since: when that
    was begun, or else when it became idle, monotonic seconds; begun: how many so far; leaving: it
    gets no more; dismissed: and was told so; stuck: others may work meanwhile; verdict: on its
    unit, where it was killed for that; not_its_fault: its end says nothing about its unit.
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
        """It runs. What it says may get here before this is known."""
        self.pid = pid
        if not self.begun:
            self.since = time.monotonic()

    # -- units -------------------------------------------------------------------------------

    def give(self, number: int, unit: Unit) -> bool:
        """Send a unit; False where it has enough for now."""
        try:
            task = (number, unit.sequences, unit.tokens, unit.job.identifies)
            self.channel.send(task, wait=False)
        except BlockingIOError:
            return False
        if self.unit is None and not self.sent:
            self.since = time.monotonic()
        self.sent[number] = unit
        return True

    def take_back(self) -> list[Unit]:
        """The units that it hasn't begun, in order, but for one that it may just have taken."""
        units: list[Unit] = []
        # this end of the channel is the child's too: a message read here never gets there
        with suppress(BlockingIOError):
            while True:
                task, _ = self.far.receive(wait=False)
                if task is not None:
                    units.append(self.sent.pop(Task(*task).number))
        return units

    def dismiss(self) -> list[Unit]:
        """Let it end when it has done what it is at; the units that it won't do."""
        units, self.dismissed = self.leave(), True
        self.channel.send(None, wait=False)
        return units

    def leave(self) -> list[Unit]:
        """It gets nothing more; the units that it won't do."""
        self.leaving = True
        return self.take_back()

    def reports(self) -> Iterator[Report]:
        """What it says, as far as it has come. Raises anything where it is out of its mind."""
        with suppress(BlockingIOError):
            while True:
                yield Report.of(self.channel.receive(wait=False)[0])

    def begin(self, started: Started) -> None:
        """It is at a unit now."""
        self.unit = self.sent.pop(started.number)
        self._at = started.number
        self.since = started.at
        self.begun += 1
        self._sample = (started.at, started.cpu_s)

    def finish(self, done: Done) -> Unit:
        """It is done with a unit. Raises ValueError where it wasn't at that."""
        unit = self.unit
        if unit is None or done.number != self._at:
            raise ValueError(f"unit {done.number} was finished before it was begun")
        self.unit = None
        self.since = time.monotonic()
        return unit

    # -- the clock ---------------------------------------------------------------------------

    def due(self, patience_s: float, others_wait: bool) -> tuple[float, Due]:
        """When to look after it next, and why. patience_s: how old its unit is before it is asked
        whether it is stuck, which matters where others wait."""
        if self.killed_at is not None:
            return self.killed_at + DEATH_S, Due.UNKILLABLE
        if self.unit is None:
            return (self.since + BIRTH_S, Due.UNBORN) if self.sent else (math.inf, Due.NOTHING)
        over = (self.since + self.unit.job.timeout_s * len(self.unit.rows), Due.TIME_OUT)
        if self.stuck or not others_wait:
            return over
        seen_at = self._sample[0]
        # ever more rarely, the older the unit is
        window_s = max(_LEAST_WINDOW_S, (seen_at - self.since) / 8)
        suspect_at = max(self.since + patience_s, seen_at + window_s)
        return over if over[0] <= suspect_at else (suspect_at, Due.SUSPECT)

    def is_idle(self, now: float) -> bool:
        """Whether it has waited, with all its descendants, since it was last looked at."""
        seen_at, cpu_then_s = self._sample
        try:
            cpu_s, running = linux.activity(self.pid or -1)
        except (OSError, ValueError, IndexError):  # can't be told: taken for busy
            cpu_s, running = cpu_then_s, True
        self._sample = (now, cpu_s)
        return not running and cpu_s - cpu_then_s < _BUSY_SHARE * (now - seen_at)

    def kill_group(self) -> None:
        """End it without the fork server, where that is gone. Otherwise only the fork server knows
        whether the number still means this process."""
        if self.pid is not None:
            with suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        self.channel.close()
        self.far.close()
        self.words.close()
