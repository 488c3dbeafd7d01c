"""A child process: scores one unit of work after another until the pool dismisses it, or it fails.

It reports the start of a unit before it scores it, so that the pool knows which unit ended it, and
reports a unit's results before it starts the next, so that no score is lost. Where the next unit
has already arrived, both are one message: `Report`.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any, NamedTuple

from sequence_tutor.rewards.compiled_reward import Objective
from sequence_tutor.rewards.isolation import linux
from sequence_tutor.rewards.isolation.channel import Channel
from sequence_tutor.rewards.isolation.work import UnitResult, pack, pack_identities

# The memory in use is measured every LOOK_EVERY units, and after a unit of LOOK_AFTER_S seconds.
LOOK_EVERY, LOOK_AFTER_S = 16, 1e-3


class UnitOrder(NamedTuple):
    """Message to a child: a unit of work."""

    number: int
    """Number of the unit."""
    sequences: list[str]
    """The unit's n sequences."""
    tokens: list[list[str]] | None
    """Texts of the actions of each sequence, without the end token; None: split them here."""
    identifies: bool
    """Whether keys are wanted, not scores."""
    known: dict[str, list[float]]
    """Raw values by component that needn't be called for, NaN where there is none."""


class Started(NamedTuple):
    """The start of a unit."""

    number: int
    """Number of the unit."""
    at: float
    """time.monotonic() at the start, seconds; all processes share that clock."""
    cpu_s: float
    """CPU seconds that this process had spent by then."""


class Ending(NamedTuple):
    """Why a child ends by itself. Without any value it has allocated too much and is replaced."""

    out_of_memory: bool = False
    """Whether the unit needed more memory than it may have."""
    error: str = ""
    """The exception that the unit raised, if the process must end after it; else ""."""
    guilty: bool = False
    """Whether the unit alone is the cause of that: earlier units had left enough memory."""


class Report(NamedTuple):
    """Message from a child to the pool."""

    done: UnitResult | None = None
    """Results of the last unit, if they weren't sent before."""
    started: Started | None = None
    """The unit that begins now, if one does."""
    ending: Ending | None = None
    """Why the child ends; it sends nothing after this."""

    def plain(self) -> tuple[Any, ...]:
        """The same as plain tuples, which are pickled ten times faster."""
        return tuple([None if part is None else tuple(part) for part in self])

    @staticmethod
    def of(plain: tuple[Any, ...]) -> Report:
        """The inverse of `plain`. Raises TypeError or ValueError for other values."""
        done, started, ending = plain
        return Report(
            None if done is None else UnitResult(*done),
            None if started is None else Started(*started),
            None if ending is None else Ending(*ending),
        )


class Child:
    """See the module. memory_bytes: how much may be allocated beyond the memory at the start."""

    def __init__(self, channel: Channel, objective: Objective, memory_bytes: int) -> None:
        self._channel, self._objective = channel, objective
        self._pid = os.getpid()
        self._done: UnitResult | None = None
        self._rounds = 0
        self._allocated = linux.data_meter()
        at_start = self._allocated()
        # above this the child is replaced after a unit, so that a leak doesn't fail later sequences
        self._grown_bytes = at_start + memory_bytes // 2
        # below this earlier units have left the next one enough memory
        self._intact_bytes = at_start + memory_bytes // 4
        self._intact = True
        self._lift_limit = linux.limit_data(at_start + memory_bytes)

    def run(self) -> None:
        """Score units; returns when the pool asks or is gone, or when this process should end."""
        with suppress(EOFError):
            while (task := self._next()) is not None:
                self._send(started=Started(task.number, time.monotonic(), time.process_time()))
                result = self._score(task)
                if os.getpid() != self._pid:  # the reward has forked, and this is the copy
                    return
                if isinstance(result, Ending):
                    return self._send(ending=result)
                self._done = result
            if self._done is not None:
                self._send()

    def _next(self) -> UnitOrder | None:
        """Wait for the next unit; None ends the child. Results are sent before a wait."""
        self._rounds += 1
        if self._rounds % LOOK_EVERY == 0 or (self._done and self._done.seconds > LOOK_AFTER_S):
            allocated = self._allocated()
            self._intact = allocated <= self._intact_bytes
            if allocated > self._grown_bytes:
                self._send(ending=Ending())
                return None
        else:
            self._intact = False  # not measured
        try:
            task, _ = self._channel.receive(wait=False)
        except BlockingIOError:
            if self._done is not None:
                self._send()
            task, _ = self._channel.receive()
        return None if task is None else UnitOrder(*task)

    def _send(self, started: Started | None = None, ending: Ending | None = None) -> None:
        self._channel.send(Report(self._done, started, ending).plain())
        self._done = None

    def _score(self, task: UnitOrder) -> UnitResult | Ending:
        started = time.perf_counter()
        try:
            if task.identifies:
                found = [self._objective.identify(sequence) for sequence in task.sequences]
                return pack_identities(task.number, time.perf_counter() - started, found)
            scores = self._objective.score(task.sequences, task.tokens, task.known)
            return pack(task.number, time.perf_counter() - started, scores)
        except MemoryError:
            self._lift_limit()
            return Ending(out_of_memory=True, guilty=self._intact)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
            text = f": {error.code}" if isinstance(error.code, str) else ""
            return Ending(error=f"exited with code {code}{text}")
        except BaseException as error:  # the process may be damaged, so it ends
            text = f": {error}" if str(error) else ""
            return Ending(error=f"raised {type(error).__name__}{text}")
