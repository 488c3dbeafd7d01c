"""Scored sequences in memory, as columns that grow at the end.

Numbers lie in arrays that double; texts of few different values are codes; sequences and keys are
strings, one object where they are equal. A row is known by its number, which never changes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import numpy as np

from sequence_tutor.distributed.types import Scored, per_step

_NUMBERS: dict[str, type] = {
    "lengths": np.int32,
    "log_probs": np.float32,
    "rewards": np.float64,
    "status": np.int8,
    "versions": np.int32,
    "scored_at": np.float64,
    "seconds": np.float32,
}


class Column:
    """An array that grows: [rows], or [rows, width], as wide as the widest values given to it."""

    def __init__(self, dtype: type, *width: int) -> None:
        self._data: np.ndarray = np.zeros((0, *width), dtype)
        self._size = 0

    @property
    def rows(self) -> np.ndarray:
        """What is held, as a view that is valid until the next `extend`."""
        return self._data[: self._size]

    @property
    def nbytes(self) -> int:
        """Allocated bytes, of which up to a half is room to grow."""
        return self._data.nbytes

    def extend(self, values: np.ndarray) -> None:
        """Add [B] or [B, width] values; zeros where they are narrower than the column."""
        end = self._size + len(values)
        # doubled rows, and columns in steps of eight: each growth copies everything
        need = [max(1024, 1 << (end - 1).bit_length()), *(-(-n // 8) * 8 for n in values.shape[1:])]
        if end > len(self._data) or need[1:] > list(self._data.shape[1:]):
            old = self.rows
            shape = [max(a, b) for a, b in zip(need, self._data.shape, strict=True)]
            self._data = np.zeros(shape, old.dtype)
            self._data[tuple(slice(n) for n in old.shape)] = old
        self._data[(slice(self._size, end), *(slice(n) for n in values.shape[1:]))] = values
        self._size = end


class Texts:
    """A growing column of texts with few different values."""

    def __init__(self) -> None:
        self._codes = Column(np.int32)
        self._code_of: dict[str, int] = {}
        self._texts: list[str] = []

    @property
    def nbytes(self) -> int:
        return self._codes.nbytes + sum(map(sys.getsizeof, self._texts))

    def extend(self, texts: list[str]) -> None:
        for text in texts:
            if text not in self._code_of:
                self._code_of[text] = len(self._texts)
                self._texts.append(text)
        self._codes.extend(np.array([self._code_of[t] for t in texts], dtype=np.int32))

    def read(self, rows: np.ndarray) -> list[str]:
        return [self._texts[code] for code in self._codes.rows[rows]]


class Columns:
    """Holds `Scored` rows, all but `step_raw`, which is for the record alone.

    A component or per-step rewards that only some of the batches have are filled as `concatenate`
    does it: NaN, and the terminal reward at the last action.
    """

    def __init__(self) -> None:
        self._numbers = {name: Column(dtype) for name, dtype in _NUMBERS.items()}
        self._texts = {name: Texts() for name in ("errors", "sources", "actors")}
        self._components: dict[str, dict[str, Column]] = {"raw": {}, "transformed": {}}
        self._tokens = Column(np.int16, 8)
        self._steps: Column | None = None
        self._sequences: list[str] = []
        self._keys: list[str] = []
        self._string_bytes = 0

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, name: str) -> np.ndarray:
        """A view of a column of numbers ([rows]), by its name in `Scored`."""
        return self._numbers[name].rows

    @property
    def nbytes(self) -> int:
        """Bytes held: arrays as allocated, strings and the lists of them."""
        parts: Iterable[Column | Texts] = [
            *self._numbers.values(),
            *self._texts.values(),
            *(c for columns in self._components.values() for c in columns.values()),
            self._tokens,
            *([self._steps] if self._steps else []),
        ]
        lists = sys.getsizeof(self._sequences) + sys.getsizeof(self._keys)
        return sum(p.nbytes for p in parts) + lists + self._string_bytes

    def extend(self, scored: Scored) -> None:
        """Add rows, whose columns must fit together (`check_shapes`)."""
        longest = int(scored.lengths.max(initial=1))
        held = len(self)
        if scored.step_rewards is not None and self._steps is None:
            earlier = per_step(self.read(np.arange(held)))
            self._steps = Column(np.float32, 8)
            self._steps.extend(earlier)
        if self._steps is not None:
            self._steps.extend(per_step(scored)[:, :longest])
        self._tokens.extend(scored.tokens[:, :longest])
        for name, column in self._numbers.items():
            column.extend(getattr(scored, name))
        for name, texts in self._texts.items():
            texts.extend(getattr(scored, name))
        for kind, columns in self._components.items():
            values = getattr(scored, kind)
            for name in [n for n in values if n not in columns]:
                columns[name] = Column(np.float64)
                columns[name].extend(np.full(held, np.nan))
            for name, column in columns.items():
                column.extend(values.get(name, np.full(len(scored), np.nan)))
        for key, sequence in zip(scored.keys, scored.sequences, strict=True):
            self._keys.append(key)
            self._sequences.append(key if sequence == key else sequence)
            self._string_bytes += sys.getsizeof(key)
            self._string_bytes += 0 if sequence == key else sys.getsizeof(sequence)

    def read(self, rows: np.ndarray) -> Scored:
        """Copies of the given rows (int [B]), in that order, trimmed to the longest of them."""
        columns: dict[str, Any] = {name: c.rows[rows] for name, c in self._numbers.items()}
        columns |= {name: texts.read(rows) for name, texts in self._texts.items()}
        for kind, components in self._components.items():
            columns[kind] = {name: c.rows[rows] for name, c in components.items()}
        longest = int(columns["lengths"].max(initial=1))
        return Scored(
            tokens=self._tokens.rows[rows, :longest],
            step_rewards=None if self._steps is None else self._steps.rows[rows, :longest],
            sequences=[self._sequences[i] for i in rows],
            keys=[self._keys[i] for i in rows],
            **columns,
        )


def check_shapes(scored: Scored) -> None:
    """Raises ValueError where columns disagree on the number of rows or actions: NumPy and Arrow
    would broadcast some of that, or read beyond the end."""
    rows = len(scored)
    sizes = {
        f.name: len(v) for f in fields(scored) if isinstance(v := getattr(scored, f.name), list)
    }
    arrays = {
        f.name: v for f in fields(scored) if isinstance(v := getattr(scored, f.name), np.ndarray)
    }
    arrays |= {f"raw.{k}": v for k, v in scored.raw.items()}
    arrays |= {f"transformed.{k}": v for k, v in scored.transformed.items()}
    arrays |= {f"steps.{k}": v for k, v in scored.step_raw.items()}
    sizes |= {name: len(array) for name, array in arrays.items()}
    if wrong := {name: size for name, size in sizes.items() if size != rows}:
        raise ValueError(f"{rows} keys but other numbers of rows: {wrong}")
    longest = int(scored.lengths.max(initial=1))
    for name in ("tokens", "step_rewards", *(f"steps.{k}" for k in scored.step_raw)):
        if name in arrays and arrays[name].shape[1] < longest and rows:
            raise ValueError(f"lengths up to {longest} but {name} {arrays[name].shape}")
