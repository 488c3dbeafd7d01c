"""Messages between the processes: Python values, whole or not at all, and open files with them.

A packet socket (SOCK_SEQPACKET) keeps messages apart and hands each to one reader. A message too
long for a packet travels as a file in memory, whose descriptor is sent instead.
"""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Sequence
from typing import Any

# Far below the socket's buffer (about 200 kB), so that dozens of short messages fit.
PACKET_BYTES = 1 << 14
_MAX_FILES = 4
_FILES_BYTES = socket.CMSG_SPACE(4 * _MAX_FILES)
# A pickle begins with another byte.
_LONG = b"L"
# plain integers: the names are enumerations, whose arithmetic takes longer than a system call
_NOW, _NO_INHERITING = int(socket.MSG_DONTWAIT), int(socket.MSG_CMSG_CLOEXEC)


class Channel:
    """One end of a connection. Not for two threads at once."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        # filled again and again: a new one for each message takes longer than the message
        self._buffer = memoryview(bytearray(PACKET_BYTES))

    @staticmethod
    def pair() -> tuple[Channel, Channel]:
        """Two connected ends."""
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return Channel(near), Channel(far)

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, message: Any, files: Sequence[int] = (), wait: bool = True) -> None:
        """Send a value and descriptors, which stay the sender's own to close.

        Raises BlockingIOError where that would take waiting and `wait` is false.
        """
        data = pickle.dumps(message)
        flags = 0 if wait else _NOW
        if len(data) > PACKET_BYTES:
            long = os.memfd_create("message")
            try:
                _write(long, data)
                socket.send_fds(self.socket, [_LONG], [*files, long], flags)
            finally:
                os.close(long)
        elif files:
            socket.send_fds(self.socket, [data], list(files), flags)
        else:
            self.socket.send(data, flags)

    def receive(self, wait: bool = True) -> tuple[Any, list[int]]:
        """The next value and the descriptors that came with it, now the receiver's to close.

        Raises EOFError where the other end is closed, BlockingIOError where nothing is there and
        `wait` is false, and anything at all where the sender wrote something unreadable.
        """
        flags = _NO_INHERITING if wait else _NO_INHERITING | _NOW
        size, extra, _, _ = self.socket.recvmsg_into([self._buffer], _FILES_BYTES, flags)
        files = _files(extra) if extra else []
        if not size:
            raise EOFError("the other end is closed")
        data = self._buffer[:size]
        return pickle.loads(_read(files.pop()) if data == _LONG else data), files

    def close(self) -> None:
        self.socket.close()


def _files(extra: list[tuple[int, int, bytes]]) -> list[int]:
    files: list[int] = []
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            whole = data[: len(data) - len(data) % 4]
            files += memoryview(whole).cast("i").tolist()
    return files


def _write(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _read(file: int) -> bytes:
    with os.fdopen(file, "rb") as stream:
        stream.seek(0)
        return stream.read()
