"""The pool's side of the fork server: starts it, requests children, ends it."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.isolation.channel import Channel
from sequence_tutor.rewards.isolation.fork_server import (
    Born,
    Broken,
    Fork,
    Gone,
    Kill,
    Ready,
    Settings,
)
from sequence_tutor.rewards.place import Place
from sequence_tutor.rewards.words import how_it_ended, last_line

Answer = Ready | Broken | Born | Gone

_START = Path(__file__).with_name("start.py")
# A child scores on one core. Threads that a library starts at import don't survive a fork.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# Seconds that the fork server may take to end by itself before it is killed.
_EXIT_S = 5.0


class StderrTail:
    """Reads a process's standard error and keeps the last KEPT_BYTES of it."""

    KEPT_BYTES = 2048

    def __init__(self) -> None:
        self.file, self.write_end = os.pipe()
        os.set_blocking(self.file, False)
        self._tail = b""

    def fileno(self) -> int:
        return self.file

    def hand_over(self) -> None:
        """Close the write end here, after a process has been given it."""
        os.close(self.write_end)

    def read(self) -> bool:
        """Read without waiting; returns False once the write end is closed."""
        with suppress(BlockingIOError):
            while data := os.read(self.file, 1 << 16):
                self._tail = (self._tail + data)[-self.KEPT_BYTES :]
            return False
        return True

    def last_line(self) -> str:
        return last_line(self._tail)

    def close(self) -> None:
        os.close(self.file)


class Launcher:
    """One fork server process. The thread that starts it must live as long as the process should.

    since: monotonic seconds of its start; ready: whether the reward is built; broken: why it can't
    be, or ""; words: the end of its standard error.
    """

    def __init__(self, config: RewardConfig, domain: str, place: Place) -> None:
        self.channel, far = Channel.pair()
        self.words = StderrTail()
        self.since, self.ready, self.broken = time.monotonic(), False, ""
        apart, window = config.told_apart, config.window
        settings = Settings(config.model_dump(), apart, window, domain, os.getpid(), place)
        search = [*sys.path, *(p for p in place.directories if p not in sys.path)]
        with tempfile.TemporaryFile() as stdin:
            stdin.write(pickle.dumps(search) + pickle.dumps(settings))
            stdin.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_START), str(far.fileno())],
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=self.words.write_end,
                pass_fds=[far.fileno()],
                env=_ONE_THREAD | os.environ,
                start_new_session=True,  # Ctrl-C must not reach it
            )
        far.close()
        self.words.hand_over()

    def fork(self, number: int, channel: Channel, errors: int) -> None:
        """Request a child with this end of a channel and this standard error."""
        with suppress(OSError):  # where it has ended, `answers` raises
            self.channel.send(Fork(number), [channel.fileno(), errors])

    def kill(self, number: int) -> None:
        """Request the end of a child and of every process that it started."""
        with suppress(OSError):
            self.channel.send(Kill(number))

    def answers(self) -> Iterator[Answer]:
        """Yield the answers that have arrived. Raises EOFError when the fork server has ended."""
        while True:
            try:
                answer: Answer = self.channel.receive(wait=False)[0]
            except BlockingIOError:
                return
            except OSError as error:
                raise EOFError("the fork server has ended") from error
            yield answer

    def give_up(self, why: str) -> None:
        """End the fork server before it is ready."""
        self.broken = f"the reward can't be built: it {why}"
        self._kill()

    def ended(self) -> str:
        """End the fork server if it still runs; returns how it ended, in words."""
        self.channel.close()  # which ends it, unless it is still building the reward
        if not self.ready:
            self._kill()
        try:
            code = self._process.wait(_EXIT_S)
        except subprocess.TimeoutExpired:
            self._kill()
            code = self._process.wait()
        self.words.read()
        last = self.words.last_line()
        self.words.close()
        how = how_it_ended(-code if code < 0 else code << 8)
        return f"{how}: {last}" if last else how

    def _kill(self) -> None:
        """Kill its process group; its id isn't reused before it has been waited for."""
        if self._process.poll() is None:
            with suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
