"""The outcome of every key ever scored, in little memory. Claims are answered from it.

About 70 to 100 bytes per row with three components, index included. Whole rows are in `columns`.
"""

from __future__ import annotations

import sys

import numpy as np

from sequence_tutor.distributed.replay.memory.key_index import KeyIndex
from sequence_tutor.rewards.base import Scores

_BITS = 16
BLOCK_ROWS = 1 << _BITS


class _Block:
    """BLOCK_ROWS rows; what is read together lies together: values float64 [rows, 1+K], the reward
    and K raw components. Pages that aren't written yet take no memory."""

    def __init__(self, width: int) -> None:
        self.values = np.empty((BLOCK_ROWS, width))
        self.seconds = np.empty(BLOCK_ROWS, np.float32)
        self.status = np.empty(BLOCK_ROWS, np.int8)

    def widen(self, width: int, used: int) -> None:
        """Add columns for new components, NaN in the `used` rows."""
        values = np.empty((BLOCK_ROWS, width))
        values[:used] = np.nan
        values[:used, : self.values.shape[1]] = self.values[:used]
        self.values = values


class OutcomeIndex:
    """Scores by key and by row number; rows are numbered as they come, and never change.

    Blocks have a fixed size, so growing copies nothing. A block has the components that were known
    when it was last written; the others are NaN. Only rows that have an error text take memory for
    one; equal texts are stored once.
    """

    def __init__(self) -> None:
        self._index = KeyIndex()
        self._blocks: list[_Block] = []
        self._components: list[str] = []
        self._errors: dict[int, str] = {}
        self._texts: dict[str, str] = {}  # each error text, once
        self._text_bytes = 0
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    @property
    def nbytes(self) -> int:
        """Bytes of the rows held, and of the index as allocated."""
        per_row = 8 * (1 + len(self._components)) + 4 + 1
        errors = sys.getsizeof(self._errors) + 32 * len(self._errors)  # 32: an int object
        errors += sys.getsizeof(self._texts) + self._text_bytes
        return self._index.nbytes + per_row * self._rows + errors

    def find(self, digests: np.ndarray) -> np.ndarray:
        """Row numbers, int64 [B], of digests [B,2]; -1 for unknown ones."""
        return self._index.find(digests)

    def extend(self, digests: np.ndarray, scores: Scores) -> None:
        """Add rows whose digests are all new and different."""
        assert scores.seconds is not None
        self._components += [name for name in scores.raw if name not in self._components]
        values = np.full((len(scores), 1 + len(self._components)), np.nan)
        values[:, 0] = scores.rewards
        for column, name in enumerate(self._components, start=1):
            if name in scores.raw:
                values[:, column] = scores.raw[name]
        done = 0
        while done < len(scores):
            block, first = self._next_place()
            n = min(BLOCK_ROWS - first, len(scores) - done)
            block.values[first : first + n] = values[done : done + n]
            block.seconds[first : first + n] = scores.seconds[done : done + n]
            block.status[first : first + n] = scores.status[done : done + n]
            self._rows += n
            done += n
        begin = self._rows - len(scores)
        self._index.insert(digests, np.arange(begin, self._rows))
        for row, text in enumerate(scores.errors, start=begin):
            if text:
                self._errors[row] = known = self._texts.setdefault(text, text)
                self._text_bytes += sys.getsizeof(text) if known is text else 0

    def read(self, rows: np.ndarray) -> Scores:
        """Scores of the given row numbers, int64 [K], in that order."""
        values = np.full((len(rows), 1 + len(self._components)), np.nan)
        seconds, status = np.empty(len(rows), np.float32), np.empty(len(rows), np.int8)
        blocks = rows >> _BITS
        for number in np.unique(blocks).tolist():
            block, at = self._blocks[number], np.flatnonzero(blocks == number)
            inside = rows[at] & (BLOCK_ROWS - 1)
            values[at, : block.values.shape[1]] = block.values[inside]
            seconds[at], status[at] = block.seconds[inside], block.status[inside]
        raw = {name: values[:, i].copy() for i, name in enumerate(self._components, start=1)}
        errors = [self._errors.get(row, "") for row in rows.tolist()]
        return Scores(values[:, 0].copy(), status, errors, raw, seconds=seconds)

    def _next_place(self) -> tuple[_Block, int]:
        """The block of the next row, with all components, and the row's place in it."""
        width, first = 1 + len(self._components), self._rows & (BLOCK_ROWS - 1)
        if self._rows >> _BITS == len(self._blocks):
            self._blocks.append(_Block(width))
        elif self._blocks[-1].values.shape[1] < width:
            self._blocks[-1].widen(width, first)
        return self._blocks[-1], first
