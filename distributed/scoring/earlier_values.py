"""Raw values that are paid for already, of sequences whose reward needs other values too.

They come from an earlier stage, or from the run of a warm start. When such a sequence is proposed
again, only the components are called that it lacks a value of.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sequence_tutor.distributed.arrow_schema import padded
from sequence_tutor.distributed.replay.memory.key_index import KeyIndex, digests
from sequence_tutor.policies.files.storage import Location, Where

# Folder in a run directory of what it began with, and the file in it.
FOLDER, FILE = "warm-start", "values.parquet"
_KEY, _SEQUENCE, _RAW, _STEPS = "key", "sequence", "raw.", "steps."


class EarlierValues:
    """Raw values of N sequences.

    keys: N keys, all different; sequences: the texts that were scored; raw: float64 [N] by
    component, NaN where there is none; steps: float32 [N,T] by component that judges by the step,
    NaN after the end.
    """

    def __init__(
        self,
        keys: Sequence[str],
        sequences: Sequence[str],
        raw: Mapping[str, np.ndarray],
        steps: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.keys, self.sequences = list(keys), list(sequences)
        self.raw, self.steps, self._index = dict(raw), dict(steps or {}), KeyIndex()
        self._index.insert(digests(self.keys), np.arange(len(self.keys)))

    def __len__(self) -> int:
        return len(self.keys)

    def of(self, keys: Sequence[str], texts: Sequence[str]) -> dict[str, np.ndarray]:
        """What is known of B sequences, as `Reward.score` takes it; empty where no key is known.
        Values by the step serve the same text alone, since another has other steps."""
        rows = self._index.find(digests(keys))
        known = rows >= 0
        if not known.any():
            return {}
        found = {name: np.where(known, values[rows], np.nan) for name, values in self.raw.items()}
        same = [
            row >= 0 and self.sequences[row] == text for row, text in zip(rows, texts, strict=True)
        ]
        for name, values in self.steps.items():
            found[name] = np.where(np.array(same)[:, None], values[rows], np.float32(np.nan))
        return found

    def write(self, out: Location) -> None:
        """Put them into a run directory. Raises OSError."""
        raw = {_RAW + name: values for name, values in self.raw.items()}
        steps = {_STEPS + name: _lists(values) for name, values in self.steps.items()}
        columns = {_KEY: self.keys, _SEQUENCE: self.sequences, **raw, **steps}
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns), buffer)
        (out / FOLDER).make()
        (out / FOLDER / FILE).write(buffer.getvalue())


def has_values(out: Where) -> bool:
    """Whether there are such in a run directory."""
    return (Location(out) / FOLDER / FILE).is_file()


def earlier_values(out: Where) -> EarlierValues | None:
    """Those in a run directory; None where there are none. Raises OSError."""
    return read_values(out) if has_values(out) else None


def read_values(out: Where) -> EarlierValues:
    """Those in a run directory. Raises OSError, also where a machine doesn't see them."""
    with (Location(out) / FOLDER / FILE).open() as source:
        table = pq.read_table(source)
    raw = {
        name.removeprefix(_RAW): np.array(table.column(name).to_numpy(), np.float64)
        for name in table.column_names
        if name.startswith(_RAW)
    }
    steps = {
        name.removeprefix(_STEPS): padded(table.column(name), np.float32, empty=np.nan)[0]
        for name in table.column_names
        if name.startswith(_STEPS)
    }
    keys, sequences = (table.column(name).to_pylist() for name in (_KEY, _SEQUENCE))
    return EarlierValues(keys, sequences, raw, steps)


def _lists(values: np.ndarray) -> pa.Array:
    """float32 [N,T], NaN after the end -> N lists of their own length."""
    return pa.array([row[~np.isnan(row)] for row in values], pa.list_(pa.float32()))
