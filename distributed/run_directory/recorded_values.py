"""The raw values that earlier runs have on record, by the components of another reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sequence_tutor.distributed.arrow_schema import numbers, padded
from sequence_tutor.distributed.replay.record.store import PartStore
from sequence_tutor.distributed.replay.record.writer import readable, scan
from sequence_tutor.distributed.scoring.earlier_values import EarlierValues
from sequence_tutor.rewards.base import Domain

_NEEDED = ("key", "sequence", "reward", "status")
_RAW, _STEPS = "raw.", "steps."


@dataclass
class RecordedValues:
    """B valid sequences."""

    keys: list[str] = field(default_factory=list)
    """B keys, all different."""
    sequences: list[str] = field(default_factory=list)
    """B sequences."""
    rewards: np.ndarray = field(default_factory=lambda: np.empty(0))
    """float64 [B] rewards that the last of the runs gave them, NaN where it gave none."""
    raw: dict[str, np.ndarray] = field(default_factory=dict)
    """float64 [B] by component, NaN where it wasn't called."""
    steps: dict[str, np.ndarray] = field(default_factory=dict)
    """float32 [B,T] by component that judges by the step, NaN after the end."""

    def __len__(self) -> int:
        return len(self.keys)

    def renamed(self, names: Mapping[str, str]) -> RecordedValues:
        """The values of the components in `names`, old name by new one, under the new names."""
        return replace(
            self,
            raw={new: self.raw[old] for new, old in names.items() if old in self.raw},
            steps={new: self.steps[old] for new, old in names.items() if old in self.steps},
        )

    def select(self, rows: Sequence[int] | np.ndarray) -> RecordedValues:
        """The given rows, in that order."""
        at = np.asarray(rows, np.int64)
        return RecordedValues(
            [self.keys[i] for i in at.tolist()],
            [self.sequences[i] for i in at.tolist()],
            self.rewards[at],
            {name: values[at] for name, values in self.raw.items()},
            {name: values[at] for name, values in self.steps.items()},
        )

    def told_apart(self, domain: Domain) -> RecordedValues:
        """The rows with the keys of another domain, the first of each key."""
        first: dict[str, int] = {}
        for row, sequence in enumerate(self.sequences):
            if (key := domain.key(sequence)) is not None:
                first.setdefault(key, row)
        return replace(self.select(list(first.values())), keys=list(first))

    def with_earlier(self, earlier: EarlierValues | None) -> RecordedValues:
        """These, and the values that the run began with and hasn't used."""
        if earlier is None:
            return self
        known = set(self.keys)
        at = np.array([i for i, key in enumerate(earlier.keys) if key not in known], np.int64)
        whole = RecordedValues(
            earlier.keys,
            earlier.sequences,
            np.full(len(earlier), np.nan),
            earlier.raw,
            earlier.steps,
        )
        return merged([self, whole.select(at)])


def merged(several: Sequence[RecordedValues]) -> RecordedValues:
    """All rows; of a key in several, the text and the reward of the last, and each value of the
    last that has it."""
    row_of: dict[str, int] = {}
    for one in several:
        for key in one.keys:
            row_of.setdefault(key, len(row_of))
    size = len(row_of)
    whole = RecordedValues(list(row_of), [""] * size, np.full(size, np.nan))
    for one in several:
        rows = np.array([row_of[key] for key in one.keys], np.int64)
        for row, text in zip(rows.tolist(), one.sequences, strict=True):
            whole.sequences[row] = text
        whole.rewards[rows] = one.rewards
        for name, values in one.raw.items():
            column = whole.raw.setdefault(name, np.full(size, np.nan))
            there = ~np.isnan(values)
            column[rows[there]] = values[there]
        for name, values in one.steps.items():
            before = whole.steps.get(name, np.empty((size, 0), np.float32))
            width = max(before.shape[1], values.shape[1])
            wide = np.full((size, width), np.nan, np.float32)
            wide[:, : before.shape[1]] = before
            there = ~np.isnan(values).all(1)
            wide[rows[there]] = np.nan
            wide[rows[there], : values.shape[1]] = values[there]
            whole.steps[name] = wide
    return whole


def recorded_values(store: PartStore, reward_id: str) -> RecordedValues:
    """The valid rows of a reward, the first of each key. Raises RecordError."""

    def wanted(name: str) -> bool:
        return name in _NEEDED or name.startswith((_RAW, _STEPS))

    tables: list[pa.Table] = []
    seen: set[str] = set()
    for part, table, _ in scan(store, reward_id=reward_id, wanted=wanted):
        with readable(store, part):
            table = table.filter(pc.equal(table.column("status"), "ok"))
            first: dict[str, int] = {}
            for row, key in enumerate(table.column("key").to_pylist()):
                if key not in seen:
                    first.setdefault(key, row)
            seen.update(first)
            tables.append(table.take(pa.array(list(first.values()), pa.int64())))
    if not tables:
        return RecordedValues()
    whole = pa.concat_tables(tables, promote_options="default")
    names = whole.column_names
    return RecordedValues(
        keys=whole.column("key").to_pylist(),
        sequences=whole.column("sequence").to_pylist(),
        rewards=numbers(whole.column("reward")),
        raw={n.removeprefix(_RAW): numbers(whole.column(n)) for n in names if n.startswith(_RAW)},
        steps={
            n.removeprefix(_STEPS): padded(whole.column(n), np.float32, empty=np.nan)[0]
            for n in names
            if n.startswith(_STEPS)
        },
    )
