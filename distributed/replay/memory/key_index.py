"""From keys to row numbers, a few dozen bytes per key: an open-addressing hash table in NumPy.

A key stands there as 128 bits of its BLAKE2b digest. That two of 10^10 keys share them has a chance
of 10^-19, so a digest is taken for the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

_FULL = 2 / 3  # share of slots in use beyond which a table grows
_LEAST_SLOTS = 1024
_MOVE = 4  # slots of the old table moved per inserted row; more than 1 / _FULL, so it ends in time


def digests(keys: Sequence[str]) -> np.ndarray:
    """uint64 [B,2] digests of B keys, the same in every process and release."""
    data = b"".join([blake2b(key.encode(), digest_size=16).digest() for key in keys])
    return np.frombuffer(data, dtype="<u8").reshape(-1, 2)


class _Table:
    """S slots, a power of two: digests uint64 [S,2] and rows int32 [S], 0 for a free slot, else the
    row's number + 1. A digest lies in the first slot that was free from its own on."""

    def __init__(self, slots: int) -> None:
        self.digests = np.zeros((slots, 2), np.uint64)
        self.rows = np.zeros(slots, np.int32)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        return self.digests.nbytes + self.rows.nbytes

    def _own(self, wanted: np.ndarray) -> np.ndarray:
        return (wanted[:, 0] & np.uint64(len(self) - 1)).astype(np.int64)

    def find(self, wanted: np.ndarray) -> np.ndarray:
        """Row numbers, int64 [B], -1 where there is none."""
        rows = np.full(len(wanted), -1, np.int64)
        left, slots = np.arange(len(wanted)), self._own(wanted)
        while len(left):
            held = self.rows[slots]
            same = (self.digests[slots] == wanted[left]).all(1)
            hit = same & (held > 0)
            rows[left[hit]] = held[hit] - 1
            on = ~same & (held > 0)
            left, slots = left[on], (slots[on] + 1) & (len(self) - 1)
        return rows

    def insert(self, new: np.ndarray, rows: np.ndarray) -> None:
        """Put B digests that aren't there, all different, with their row numbers."""
        numbers = (rows + 1).astype(np.int32)
        left, slots = np.arange(len(new)), self._own(new)
        while len(left):
            # where several want the same free slot, the last one written has it
            free = self.rows[slots] == 0
            self.rows[slots[free]] = numbers[left[free]]
            won = free & (self.rows[slots] == numbers[left])
            self.digests[slots[won]] = new[left[won]]
            left, slots = left[~won], (slots[~won] + 1) & (len(self) - 1)


class KeyIndex:
    """Row numbers by digest; nothing is ever removed.

    When two thirds of the slots are in use a table of twice the size is begun, and each insert
    moves a few slots of the old one: none waits for a whole table to be copied. 30 to 60 bytes per
    key, half as much again while a table is being moved.
    """

    def __init__(self) -> None:
        self._table = _Table(_LEAST_SLOTS)
        self._old: _Table | None = None
        self._moved = 0  # slots of the old table
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        return self._table.nbytes + (self._old.nbytes if self._old else 0)

    def find(self, wanted: np.ndarray) -> np.ndarray:
        """Row numbers, int64 [B], of digests uint64 [B,2]; -1 where there is none."""
        rows = self._table.find(wanted)
        if self._old is not None:
            missing = np.flatnonzero(rows < 0)
            rows[missing] = self._old.find(wanted[missing])
        return rows

    def insert(self, new: np.ndarray, rows: np.ndarray) -> None:
        """Put digests that aren't there yet, all different, with row numbers of no other digest."""
        self._count += len(new)
        if self._count > _FULL * len(self._table):
            self._move(len(self._old) if self._old else 0)
            self._old, self._moved = self._table, 0
            slots = len(self._table)
            while self._count > _FULL * slots:
                slots *= 2
            self._table = _Table(slots)
        self._table.insert(new, rows)
        self._move(max(_MOVE * len(new), _LEAST_SLOTS))

    def _move(self, slots: int) -> None:
        """Take the next slots of the old table over; where they lie it stays as it is, so that
        what isn't moved yet is found."""
        if self._old is None:
            return
        part = slice(self._moved, self._moved + slots)
        used = np.flatnonzero(self._old.rows[part])
        self._table.insert(
            self._old.digests[part][used], self._old.rows[part][used].astype(np.int64) - 1
        )
        self._moved += slots
        if self._moved >= len(self._old):
            self._old = None
