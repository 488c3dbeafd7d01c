"""A user's program: one process of it, spoken to through its standard streams.

It is started as a list of arguments, never through a shell, in a process group of its own. The
process that scores, and so the program, ends at the deadline of a sequence (`rewards.isolation`).
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sequence_tutor.rewards.returned import Complaint
from sequence_tutor.rewards.words import how_it_ended, last_line

# Bytes of standard error that are kept, and of an answer on one line.
KEPT_BYTES, LINE_BYTES = 4096, 1 << 20
# Seconds that a program may take to end after its standard input was closed when it is no longer
# needed, and after it has closed its output.
CLOSE_S, EXIT_S = 2.0, 10.0


class ProgramEndedError(Complaint):
    """It ended, or closed its output, before it had answered."""


class Program:
    """A running program. words: the end of what it wrote on standard error since the last answer.

    Raises Complaint where it can't be started.
    """

    def __init__(
        self, command: Sequence[str], directory: Path, environment: Mapping[str, str]
    ) -> None:
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=directory,
                env=environment,
                process_group=0,
            )
        except OSError as error:
            raise Complaint(f"can't start {command[0]!r}: {error.strerror}") from error
        process = self._process
        assert process.stdin and process.stdout and process.stderr
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        for stream in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(stream.fileno(), False)
        self._read = self._tail = b""
        self.answers = 0
        # closes at the latest when this object is collected, or the interpreter ends; what kills a
        # scoring process ends its programs too
        self.close = weakref.finalize(self, _end, process, CLOSE_S)

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def words(self) -> str:
        """The last line that it wrote on standard error since the last question; "" without one."""
        self._listen()
        return last_line(self._tail)

    def ask(self, text: str) -> str:
        """Write a line and return the line that it answers. Raises Complaint, and ProgramEndedError
        where there is no answer; it can't be asked again then."""
        if self.answers:
            self._tail = b""
        if rest := self._rest():
            said = rest.decode(errors="replace").strip()[:80]
            raise Complaint(f"wrote {said!r} unasked; it should answer each line with one line")
        line = self._talk(f"{text}\n".encode(), one_line=True)
        if line is None:
            raise ProgramEndedError(self.how_it_ended())
        self.answers += 1
        if self._rest():
            raise Complaint("answered with more than one line")
        return line.decode(errors="replace")

    def run(self, text: str) -> str:
        """Write a text, close its standard input and return all that it writes until it ends.
        Raises ProgramEndedError unless it exits with code 0."""
        self._talk(text.encode(), one_line=False)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(EXIT_S)
        if self._process.returncode != 0:
            raise ProgramEndedError(self.how_it_ended())
        return self._read.decode(errors="replace")

    def how_it_ended(self) -> str:
        """How it ended, in words; it is killed if it still runs."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(EXIT_S)
        if self._process.returncode is None:
            self._listen()
            self.kill()
            return "closed its output and went on"
        code = self._process.returncode
        return how_it_ended(-code if code < 0 else code << 8)

    def kill(self) -> None:
        """End it and its process group at once."""
        if self.close.detach():
            _end(self._process, 0.0)

    def _talk(self, data: bytes, one_line: bool) -> bytes | None:
        """Write data; return the first line of the answer without its end, None where there is
        none. Otherwise close its input and read all of its output into `_read`."""
        left = memoryview(data)
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdin, selectors.EVENT_WRITE)
            selector.register(self._stdout, selectors.EVENT_READ)
            selector.register(self._stderr, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._stdin:
                        left = self._write(left)
                        if not left:
                            selector.unregister(self._stdin)
                            if not one_line:
                                self._stdin.close()
                    elif key.fileobj is self._stderr:
                        if not self._listen():
                            selector.unregister(self._stderr)
                    elif not (some := os.read(key.fd, 1 << 16)):
                        return None  # its output is closed
                    else:
                        self._read += some
                if one_line and b"\n" in self._read:
                    line, _, self._read = self._read.partition(b"\n")
                    return line
                if one_line and len(self._read) > LINE_BYTES:
                    raise Complaint(f"wrote {LINE_BYTES} bytes without the end of a line")

    def _write(self, left: memoryview) -> memoryview:
        try:
            return left[os.write(self._stdin.fileno(), left) :]
        except BrokenPipeError:  # it reads no more, but may still answer
            return left[len(left) :]

    def _rest(self) -> bytes:
        """What it has written beyond its answers."""
        with suppress(BlockingIOError):
            self._read += os.read(self._stdout.fileno(), 1 << 16)
        return self._read

    def _listen(self) -> bool:
        """Read what has arrived of its standard error; False once that is closed."""
        if self._stderr.closed:
            return False
        with suppress(BlockingIOError):
            while some := os.read(self._stderr.fileno(), 1 << 16):
                self._tail = (self._tail + some)[-KEPT_BYTES:]
            return False
        return True


def _end(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """Close its input, wait `patience_s` for its end, then kill its process group."""
    assert process.stdin and process.stdout and process.stderr
    with suppress(OSError):
        process.stdin.close()
    if process.returncode is None and patience_s:
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    if process.returncode is None:  # its number is still its own
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process.stdout.close()
    process.stderr.close()
