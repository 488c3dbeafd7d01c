"""From keys to row numbers, a few dozen bytes per key: an open-addressing hash table in NumPy.

A key is represented by 128 bits of its BLAKE2b digest. The probability that two of 10^10 keys share
a digest is 10^-19, so equal digests count as equal keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

# Share of slots in use beyond which a table grows.
_FULL = 2 / 3
_LEAST_SLOTS = 1024
# Slots of the old table moved per inserted row. Above 1 / _FULL, so that all are moved before the
# new table is full.
_MOVE = 4


def digests(keys: Sequence[str]) -> np.ndarray:
    """uint64 [B,2] digests of B keys, the same in every process and release."""
    data = b"".join([blake2b(key.encode(), digest_size=16).digest() for key in keys])
    return np.frombuffer(data, dtype="<u8").reshape(-1, 2)


class _Table:
    """S slots, a power of two: digests uint64 [S,2] and rows int32 [S], 0 for a free slot, else the
    row's number + 1. A digest is in the first slot that was free, searched from the slot that its
    low bits name."""

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
        """Add B digests, all new and different, with their row numbers."""
        numbers = (rows + 1).astype(np.int32)
        left, slots = np.arange(len(new)), self._own(new)
        while len(left):
            # where several take the same free slot, the one written last keeps it
            free = self.rows[slots] == 0
            self.rows[slots[free]] = numbers[left[free]]
            won = free & (self.rows[slots] == numbers[left])
            self.digests[slots[won]] = new[left[won]]
            left, slots = left[~won], (slots[~won] + 1) & (len(self) - 1)


class KeyIndex:
    """Row numbers by digest; nothing is ever removed.

    When two thirds of the slots are in use, a table of twice the size is made. Each insert moves a
    few slots of the old one, so no insert has to copy a whole table. 30 to 60 bytes per key, 1.5
    times that while slots are being moved.
    """

    def __init__(self) -> None:
        self._table = _Table(_LEAST_SLOTS)
        self._old: _Table | None = None
        self._moved = 0  # slots of the old table that were moved
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
        """Add digests, all new and different, with row numbers that no other digest has."""
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
        """Copy the next slots of the old table to the new one. The old table isn't changed, so
        slots that aren't moved yet are still found."""
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
