"""Messages between the processes of a reward: Python values and open files.

A packet socket (SOCK_SEQPACKET) delivers each message whole, to one reader. A message too long for
a packet is written to a file in memory, whose descriptor is sent instead.
"""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Sequence
from typing import Any

# Longest packet. Far below the socket's buffer (about 200 kB), so that it holds dozens of them.
PACKET_BYTES = 1 << 14
_MAX_FILES = 4
_FILES_BYTES = socket.CMSG_SPACE(4 * _MAX_FILES)
# Packet that announces a file in memory; a pickle begins with another byte.
_LONG = b"L"
# plain integers: arithmetic with the enumeration's members takes longer than a system call
_NOW, _NO_INHERITING = int(socket.MSG_DONTWAIT), int(socket.MSG_CMSG_CLOEXEC)


class Channel:
    """One end of a connection. Only one thread may use it at a time."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        # reused: allocating a buffer for each message takes longer than reading the message
        self._buffer = memoryview(bytearray(PACKET_BYTES))

    @staticmethod
    def pair() -> tuple[Channel, Channel]:
        """Two connected ends."""
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return Channel(near), Channel(far)

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, message: Any, files: Sequence[int] = (), wait: bool = True) -> None:
        """Send a value and descriptors, which the sender must still close.

        Raises BlockingIOError where the socket is full and `wait` is false.
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
        """Return the next value and its descriptors, which the receiver must close.

        Raises EOFError where the other end is closed, BlockingIOError where there is no message and
        `wait` is false, and any exception where the message can't be read.
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
