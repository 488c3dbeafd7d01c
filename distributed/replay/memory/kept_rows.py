"""Which rows are held whole: the newest and the best.

This module only chooses and doesn't hold the rows, so a reload can choose before it reads them. The
choice is a function of the rows in their order and not of how they were batched: a reloaded shard
holds, and samples, the same rows as before.
"""

from __future__ import annotations

import numpy as np

from sequence_tutor.distributed.replay.sampler import best_rows

# Flags of a row.
TRAINABLE, VALID = 1, 2


class KeptRows:
    """Gives each new row a slot, and takes slots back from rows that are neither new nor good.

    When a quarter more than `memory_rows` rows are held, all but `memory_rows` are dropped. Half of
    those that stay are the newest; the other half have the highest rewards of the rest, of equal
    ones the newest. So the newest memory_rows/2 rows, and the best memory_rows/2 rows that ever
    came, are always held. Work per row is constant.
    """

    def __init__(self, memory_rows: int) -> None:
        if memory_rows < 1:
            raise ValueError(f"need memory_rows >= 1, got {memory_rows}")
        self._keep, self._full = memory_rows, memory_rows + max(1, memory_rows // 4)
        # the rows held, in the order of their arrival
        self._slots = np.zeros(0, np.int32)
        self._rewards = np.zeros(0)
        self._flags = np.zeros(0, np.int8)
        self._rows = 0
        self._used = 0  # slots 0 to used - 1 have been given out
        self._free = np.zeros(0, np.int32)
        self._eligible: tuple[np.ndarray, np.ndarray] | None = None

    def __len__(self) -> int:
        return self._rows

    @property
    def nbytes(self) -> int:
        arrays = [self._slots, self._rewards, self._flags, self._free, *(self._eligible or ())]
        return sum(array.nbytes for array in arrays)

    @property
    def slots(self) -> np.ndarray:
        """Slots of the rows held, int32 [N], in the order of their arrival."""
        return self._slots[: self._rows].copy()

    def extend(self, rewards: np.ndarray, flags: np.ndarray) -> list[tuple[slice, np.ndarray]]:
        """Add B rows: rewards float64 [B], finite or -inf for the lowest; flags int8 [B].

        Returns pieces (which of the B rows, their slots), to be written in this order: a later
        piece may reuse slots of an earlier one.
        """
        pieces = []
        done = 0
        while done < len(rewards):
            n = min(len(rewards) - done, self._full - self._rows)
            piece, held = slice(done, done + n), slice(self._rows, self._rows + n)
            slots = self._take(n)
            self._grow(self._rows + n)
            self._slots[held], self._rewards[held] = slots, rewards[piece]
            self._flags[held] = flags[piece]
            self._rows += n
            pieces.append((piece, slots))
            done += n
            if self._rows == self._full:
                self._evict()
        self._eligible = None
        return pieces

    def trainable(self) -> tuple[np.ndarray, np.ndarray]:
        """Slots int32 [N] and rewards float64 [N] of the trainable rows, in arrival order."""
        if self._eligible is None:
            at = np.flatnonzero(self._flags[: self._rows] & TRAINABLE)
            self._eligible = self._slots[at], self._rewards[at]
        return self._eligible

    def valid(self) -> tuple[np.ndarray, np.ndarray]:
        """Slots int32 [N] and rewards float64 [N] of the valid rows, in arrival order."""
        valid = np.flatnonzero(self._flags[: self._rows] & VALID)
        return self._slots[valid], self._rewards[valid]

    def best(self, n: int) -> np.ndarray:
        """Slots of the up to n best valid rows, best first."""
        slots, rewards = self.valid()
        best: np.ndarray = slots[best_rows(rewards, n)]
        return best

    def _take(self, n: int) -> np.ndarray:
        """n slots to write to; freed ones come first."""
        again, self._free = self._free[:n], self._free[n:]
        new = np.arange(self._used, self._used + n - len(again), dtype=np.int32)
        self._used += len(new)
        return np.concatenate([again, new])

    def _grow(self, rows: int) -> None:
        if rows > len(self._slots):
            size = min(self._full, max(1024, 2 * rows))
            for name in ("_slots", "_rewards", "_flags"):
                array = getattr(self, name)
                grown = np.zeros(size, array.dtype)
                grown[: len(array)] = array
                setattr(self, name, grown)

    def _evict(self) -> None:
        newest = (self._keep + 1) // 2
        older = self._rows - newest
        keep = np.zeros(self._rows, bool)
        keep[older:] = True
        keep[best_rows(self._rewards[:older], self._keep - newest)] = True
        self._free = np.concatenate([self._free, self._slots[: self._rows][~keep]])
        for array in (self._slots, self._rewards, self._flags):
            array[: self._keep] = array[: self._rows][keep]
        self._rows = self._keep
