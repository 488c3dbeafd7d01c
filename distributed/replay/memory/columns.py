"""Whole scored sequences in memory, as columns of slots that are reused.

Numbers are in arrays that double as they grow; a sequence and a key that are equal are one string
object. `kept_rows` decides which slots are in use.
"""

from __future__ import annotations

import sys
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
_TEXTS = ("sequences", "keys", "errors", "sources", "actors")
# Texts of which few differ, so that equal ones are made one object.
_FEW = ("errors", "sources", "actors")


class Column:
    """An array that grows: [slots], or [slots, width], as wide as the widest values given to it."""

    def __init__(self, dtype: type, *width: int) -> None:
        self._data: np.ndarray = np.zeros((0, *width), dtype)

    @property
    def nbytes(self) -> int:
        """Allocated bytes, of which up to half are for growth."""
        return self._data.nbytes

    def __len__(self) -> int:
        """Slots that can be read; those that were never written are zero."""
        return len(self._data)

    def write(self, slots: np.ndarray, values: np.ndarray) -> None:
        """Put [B] or [B, width] values into slots (int [B]); zeros where they are narrower than the
        column."""
        last = int(slots.max(initial=-1))
        # slots double and columns grow by eight, as each growth copies everything
        need = [max(1024, 1 << last.bit_length()), *(-(-n // 8) * 8 for n in values.shape[1:])]
        if last >= len(self._data) or need[1:] > list(self._data.shape[1:]):
            old = self._data
            shape = [max(a, b) for a, b in zip(need, old.shape, strict=True)]
            self._data = np.zeros(shape, old.dtype)
            self._data[tuple(slice(n) for n in old.shape)] = old
        if values.ndim == 1:
            self._data[slots] = values
        else:
            self._data[slots, : values.shape[1]] = values
            self._data[slots, values.shape[1] :] = 0

    def read(self, slots: np.ndarray) -> np.ndarray:
        """Copies of slots that have been written, [B] or [B, width]."""
        values: np.ndarray = self._data[slots]
        return values


class Columns:
    """Holds `Scored` rows without `step_raw` and `groups`, which only the record keeps.

    What only some batches have is filled in as `concatenate` does: NaN for a component, for
    per-step rewards the terminal reward at the last action.
    """

    def __init__(self) -> None:
        self._numbers = {name: Column(dtype) for name, dtype in _NUMBERS.items()}
        self._components: dict[str, dict[str, Column]] = {"raw": {}, "transformed": {}}
        self._tokens = Column(np.int16, 8)
        self._steps: Column | None = None
        self._texts: dict[str, list[str]] = {name: [] for name in _TEXTS}
        self._string_bytes = 0

    def __len__(self) -> int:
        """One more than the highest slot ever written."""
        return len(self._texts["keys"])

    @property
    def nbytes(self) -> int:
        """Bytes held: arrays as allocated, strings and the lists of them."""
        columns = [
            *self._numbers.values(),
            *(c for components in self._components.values() for c in components.values()),
            self._tokens,
            *([self._steps] if self._steps else []),
        ]
        lists = sum(sys.getsizeof(texts) for texts in self._texts.values())
        return sum(c.nbytes for c in columns) + lists + self._string_bytes

    def pay_by_step(self) -> None:
        """Give all rows per-step rewards; the terminal rewards of earlier rows go to the last
        action."""
        if self._steps is None:
            slots = np.arange(len(self))
            earlier = per_step(self.read(slots))
            self._steps = Column(np.float32, 8)
            self._steps.write(slots, earlier)

    def write(self, slots: np.ndarray, scored: Scored) -> None:
        """Put B rows, whose columns must agree in size (`check_shapes`), into slots, int [B], all
        different."""
        if scored.step_rewards is not None:
            self.pay_by_step()
        longest = int(scored.lengths.max(initial=1))
        if self._steps is not None:
            self._steps.write(slots, per_step(scored)[:, :longest])
        self._tokens.write(slots, scored.tokens[:, :longest])
        for name, column in self._numbers.items():
            column.write(slots, getattr(scored, name))
        for kind, columns in self._components.items():
            values = getattr(scored, kind)
            for name in [n for n in values if n not in columns]:
                columns[name] = Column(np.float64)
                columns[name].write(np.arange(len(self)), np.full(len(self), np.nan))
            for name, column in columns.items():
                column.write(slots, values.get(name, np.full(len(scored), np.nan)))
        self._write_texts(slots.tolist(), scored)

    def _write_texts(self, slots: list[int], scored: Scored) -> None:
        held = len(self)
        self._string_bytes -= sum(self._size(slot) for slot in slots if slot < held)
        for name, texts in self._texts.items():
            texts.extend([""] * (max(slots, default=-1) + 1 - held))
            for slot, text in zip(slots, getattr(scored, name), strict=True):
                texts[slot] = sys.intern(text) if name in _FEW else text
        sequences, keys = self._texts["sequences"], self._texts["keys"]
        for slot in slots:
            if sequences[slot] == keys[slot]:
                sequences[slot] = keys[slot]
        self._string_bytes += sum(self._size(slot) for slot in slots)

    def _size(self, slot: int) -> int:
        """Bytes of a slot's own strings."""
        sequence, key = self._texts["sequences"][slot], self._texts["keys"][slot]
        return sys.getsizeof(key) + (0 if sequence is key else sys.getsizeof(sequence))

    def status(self, slots: np.ndarray) -> np.ndarray:
        """int8 [B] of `Status` of the given slots, int [B]."""
        return self._numbers["status"].read(slots)

    def read(self, slots: np.ndarray) -> Scored:
        """Copies of the given slots (int [B]), in that order, trimmed to the longest of them."""
        columns: dict[str, Any] = {name: c.read(slots) for name, c in self._numbers.items()}
        for kind, components in self._components.items():
            columns[kind] = {name: c.read(slots) for name, c in components.items()}
        for name, texts in self._texts.items():
            columns[name] = [texts[slot] for slot in slots.tolist()]
        longest = int(columns["lengths"].max(initial=1))
        return Scored(
            tokens=self._tokens.read(slots)[:, :longest],
            step_rewards=None if self._steps is None else self._steps.read(slots)[:, :longest],
            **columns,
        )


def check_shapes(scored: Scored) -> None:
    """Raises ValueError where columns disagree on the number of rows or actions: NumPy and Arrow
    would broadcast some of these, or read beyond the end."""
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
    arrays |= {f"group.{k}": v for k, v in scored.groups.items()}
    sizes |= {name: len(array) for name, array in arrays.items()}
    if wrong := {name: size for name, size in sizes.items() if size != rows}:
        raise ValueError(f"{rows} keys but other numbers of rows: {wrong}")
    longest = int(scored.lengths.max(initial=1))
    for name in ("tokens", "step_rewards", *(f"steps.{k}" for k in scored.step_raw)):
        if name in arrays and arrays[name].shape[1] < longest and rows:
            raise ValueError(f"lengths up to {longest} but {name} {arrays[name].shape}")
