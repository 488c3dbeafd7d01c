"""The fork server: a process that builds the reward once, forks children and reports how they end.

A fork copies only the thread that calls it; a lock that another thread holds stays locked in the
copy for ever. So no thread is started here. A reward's module that starts threads at import must
work without them in the copies.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.compiled_reward import Objective
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.given_parts import Window
from sequence_tutor.rewards.isolation import linux
from sequence_tutor.rewards.isolation.channel import Channel
from sequence_tutor.rewards.isolation.child import Child
from sequence_tutor.rewards.isolation.work import Shape
from sequence_tutor.rewards.place import Place


class Settings(NamedTuple):
    """The reward to build, and the process that asks for it."""

    config: dict[str, Any]
    """The [reward] section as plain values."""
    told_apart: tuple[str, ...] | None
    """As in `RewardConfig`."""
    window: Window | None
    """As in `RewardConfig`."""
    domain: str
    """Name of the domain, such as "molecules"."""
    parent: int
    """Process id of the process that started the fork server."""
    place: Place
    """Its surroundings."""


class Fork(NamedTuple):
    """Request: fork a child. Its end of a channel and its standard error come with the message."""

    number: int
    """Number for the new child."""


class Kill(NamedTuple):
    """Request: end a child and every process that it started."""

    number: int
    """Number of the child."""


class Ready(NamedTuple):
    """Answer, once: the reward is built."""

    shape: Shape
    """The form of the reward's scores."""


class Broken(NamedTuple):
    """Answer, once: the reward can't be built."""

    error: str
    """The reason, one sentence."""


class Born(NamedTuple):
    """Answer: a child has started."""

    number: int
    """Number of the child."""
    pid: int
    """Its process id."""


class Gone(NamedTuple):
    """Answer: a child and every process that it started have ended, or it couldn't be forked."""

    number: int
    """Number of the child."""
    status: int
    """Wait status of the child; 0 where `error` is given."""
    error: str = ""
    """Why the child couldn't be forked, "" where it ran."""


def serve(file: int, settings: Settings) -> None:
    """Run the fork server until the other end of the socket `file` is closed."""
    # an import may hang, and then a closed socket wouldn't end this process
    linux.die_with_parent()
    if os.getppid() != settings.parent:
        return
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    channel = Channel(socket.socket(fileno=file))
    try:
        config = RewardConfig.model_validate(settings.config).telling_apart(settings.told_apart)
        config = config.within(settings.window)
        objective = build_reward(config, settings.domain, settings.place)
        objective.warm_up()
    except ValueError as error:
        return channel.send(Broken(str(error)))
    except BaseException as error:  # sent, not printed: the standard error isn't shown
        return channel.send(Broken(f"the reward can't be built: {type(error).__name__}: {error}"))
    # from here on a closed socket ends this process, after it has ended its children
    linux.die_with_parent(False)
    linux.adopt_orphans()
    linux.no_core_files()
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page
    channel.send(Ready(Shape.of(objective)))
    ForkServer(channel, objective, config.memory_mb << 20).run()


class ForkServer:
    """See the module."""

    def __init__(self, channel: Channel, objective: Objective, memory_bytes: int) -> None:
        self._channel, self._objective, self._memory_bytes = channel, objective, memory_bytes
        self._numbers: dict[int, int] = {}  # by process id
        # processes that the reward's module started at import, for all children
        self._helpers = set(linux.children_of(os.getpid()))
        self._woken, wake = os.pipe()
        for end in (self._woken, wake):
            os.set_blocking(end, False)
        self._signals = (
            signal.set_wakeup_fd(wake, warn_on_full_buffer=False),
            signal.signal(signal.SIGCHLD, lambda *_: None),
        )

    def run(self) -> None:
        """Serve until the pool is gone; then end all descendants."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        try:
            while True:
                poll.poll()
                with suppress(BlockingIOError):
                    os.read(self._woken, 4096)
                self._reap()
                with suppress(BlockingIOError):
                    while True:
                        self._answer(*self._channel.receive(wait=False))
        except (EOFError, OSError):
            self._end_all()

    def _answer(self, request: Fork | Kill, files: list[int]) -> None:
        if isinstance(request, Fork):
            self._fork(request.number, *files)
            for file in files:
                os.close(file)
        else:
            for pid, number in self._numbers.items():
                if number == request.number:
                    _kill(pid)

    def _fork(self, number: int, channel: int, errors: int) -> None:
        fork_server = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            pid = os.fork()
        except OSError as error:
            return self._channel.send(Gone(number, 0, f"can't start a process: {error}"))
        if not pid:
            self._run_child(fork_server, channel, errors)
        self._numbers[pid] = number
        self._channel.send(Born(number, pid))

    def _run_child(self, fork_server: int, channel: int, errors: int) -> NoReturn:
        try:
            os.setsid()
            linux.die_with_parent()
            if os.getppid() != fork_server:
                os._exit(0)
            linux.adopt_orphans()
            linux.be_the_first_to_go()
            wake, handler = self._signals
            signal.signal(signal.SIGCHLD, handler or signal.SIG_DFL)
            signal.set_wakeup_fd(wake)
            self._channel.close()
            os.dup2(errors, 2)
            os.close(errors)
            end = Channel(socket.socket(fileno=channel))
            Child(end, self._objective, self._memory_bytes).run()
            os._exit(0)
        except BaseException as error:
            with suppress(BaseException):
                os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(70)

    def _reap(self) -> None:
        """Collect ended children, end the processes they started, and report them."""
        gone: list[Gone] = []
        while (pid := _ended_child()) is not None:
            _kill(pid)  # its group may outlive it; its process id isn't reused before waitpid
            _, status = os.waitpid(pid, 0)
            self._helpers.discard(pid)
            if (number := self._numbers.pop(pid, None)) is not None:
                gone.append(Gone(number, status))
            self._end_orphans()
        for one in gone:
            self._channel.send(one)

    def _end_orphans(self) -> None:
        """End the processes that an ended child had started in other sessions: this process is
        their parent now. Orphans of running children belong to these children."""
        for pid in linux.children_of(os.getpid()):
            if pid not in self._numbers and pid not in self._helpers:
                _kill(pid)

    def _end_all(self) -> None:
        for pid in self._numbers:
            _kill(pid)
        self._numbers, self._helpers = {}, set()
        while linux.children_of(os.getpid()):
            self._end_orphans()
            with suppress(ChildProcessError):
                os.waitpid(-1, 0)


def _ended_child() -> int | None:
    """Process id of a child that has ended and hasn't been waited for; None without one."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if found is None else found.si_pid


def _kill(pid: int) -> None:
    """End a process, and its group if it leads one. Doesn't wait for it, so the id isn't reused."""
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(OSError):
        os.kill(pid, signal.SIGKILL)
