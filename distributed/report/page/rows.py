"""The rows of runs as columns for a page: all of them, or the best and a sample of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sequence_tutor.distributed.arrow_schema import GROUP, numbers
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError
from sequence_tutor.distributed.replay.messages import FREE_SOURCES, WARM_START
from sequence_tutor.distributed.replay.record.reload import scores_of_table
from sequence_tutor.distributed.replay.record.retried import read_retried
from sequence_tutor.distributed.replay.record.store import PartStore, RecordError, record_of
from sequence_tutor.distributed.replay.record.writer import readable, scan
from sequence_tutor.distributed.run_directory.resume import config_of
from sequence_tutor.distributed.stages import run_directories
from sequence_tutor.policies.files.storage import Location, Where

# Most rows in a page, and how many of these are the best; of a longer run the others are drawn
# evenly over time.
MOST_ROWS, BEST_ROWS = 100_000, 20_000
_WORDS = ("key", "sequence", "status", "error", "source")
_NUMBERS = ("reward", "version", "seconds", "log_prob")
_RAW, _TRANSFORMED = "raw.", "transformed."


class RunPart(NamedTuple):
    """A run, or a stage of one."""

    name: str
    """The name of the run, or of the stage."""
    where: Location
    """Its directory."""
    config: RunConfig
    """Its config."""


@dataclass(frozen=True)
class Rows:
    """N rows, in the order of their scores."""

    words: dict[str, list[str]]
    """By name, N texts: key, sequence, status, error, source, run, and groups by their kind."""
    numbers: dict[str, np.ndarray]
    """By name, float64 [N], NaN where there is none: the number of the score from 1, reward,
    version of the policy, seconds, log-probability, raw and transformed values of components."""
    total: int
    """How many rows there are on record; N or more."""

    def __len__(self) -> int:
        return len(self.words["key"])

    def select(self, at: np.ndarray) -> Rows:
        """The given rows, in that order."""
        chosen = at.tolist()
        return Rows(
            {name: [texts[i] for i in chosen] for name, texts in self.words.items()},
            {name: values[at] for name, values in self.numbers.items()},
            self.total,
        )

    @cached_property
    def valid(self) -> np.ndarray:
        """bool [N]: which have a reward of their own."""
        return np.array([status == "ok" for status in self.words["status"]], bool)

    def best(self, n: int) -> np.ndarray:
        """int64: the up to n valid rows with the highest reward, best first, each key once."""
        return self._ranked[:n]

    @cached_property
    def _ranked(self) -> np.ndarray:
        """int64: all that `best` can return."""
        rewards = np.where(self.valid, self.numbers["reward"], -np.inf)
        order = np.argsort(-rewards, kind="stable")
        first: dict[str, int] = {}
        for row in order[np.isfinite(rewards[order])].tolist():
            first.setdefault(self.words["key"][row], row)
        return np.array(list(first.values()), np.int64)

    def keys(self, at: np.ndarray) -> list[str]:
        """The keys of the given rows."""
        return [self.words["key"][row] for row in at.tolist()]


def run_parts(where: Where) -> list[RunPart]:
    """A run, or its stages that have begun. Raises ConfigError where there is none."""
    out = Location(where)
    config = config_of(out)
    if not config.stage:
        return [RunPart(out.name, out, config)]
    begun = run_directories(out, config)
    if not begun:
        raise ConfigError(f"no stage of {out} has begun")
    return [RunPart(one.name, one, config_of(one)) for one in begun]


def read_rows(parts: Sequence[RunPart]) -> Rows:
    """The rows of one run's parts, or of several runs. Raises ConfigError where a record can't be
    read, or none has a row."""
    tables = [_table(part, first=number == 0) for number, part in enumerate(parts)]
    found = [table for table in tables if table is not None]
    if not found:
        raise ConfigError(f"nothing is on record in {parts[-1].where} yet")
    whole = pa.concat_tables(found, promote_options="default")
    total = len(whole)
    chosen = _chosen(whole.column("reward").to_numpy(), whole.column("status"))
    if len(chosen) < total:
        whole = whole.take(chosen)
    words = {
        name: pc.fill_null(whole.column(name), "").to_pylist()
        for name in [*_WORDS, "run", *(n for n in whole.column_names if n.startswith(GROUP))]
    }
    columns = {
        name: numbers(whole.column(name))
        for name in whole.column_names
        if name in (*_NUMBERS, "order") or name.startswith((_RAW, _TRANSFORMED))
    }
    return Rows(words, columns, total)


def _table(part: RunPart, first: bool) -> pa.Table | None:
    """The rows of one part, in the order of their scores; None without any. first: whether no other
    part comes before it, whose rows it would repeat."""

    def wanted(name: str) -> bool:
        known = (*_WORDS, *_NUMBERS, "scored_at")
        return name in known or name.startswith((_RAW, _TRANSFORMED, GROUP))

    record, reward_id = record_of(part.config.replay, part.where), part.config.reward.identity()
    try:
        store = PartStore(record)
        retried, tables = read_retried(store, reward_id), []
        for one, table, _ in scan(store, reward_id=reward_id, wanted=wanted):
            with readable(store, one):
                scores = scores_of_table(table)
                void = retried.void(one.sequence, scores.status, scores.errors)
                if void.any():  # failures that a resumed run tries again
                    table = table.filter(pa.array(~void))
                if "reward_id" in table.column_names:
                    table = table.drop_columns(["reward_id"])
                if not first:  # rows of the part before
                    table = table.filter(pc.not_equal(table.column("source"), WARM_START))
                tables.append(table)
    except RecordError as error:
        raise ConfigError(str(error)) from error
    if not tables:
        return None
    whole = pa.concat_tables(tables, promote_options="default")
    whole = whole.take(pc.sort_indices(whole, sort_keys=[("scored_at", "ascending")]))
    paid = pc.invert(pc.is_in(whole.column("source"), pa.array(FREE_SOURCES))).to_numpy()
    judged = pc.not_equal(whole.column("status"), "invalid").to_numpy()
    # a row that cost nothing has the number of the score before it
    order = np.cumsum(paid & judged)
    whole = whole.append_column("order", pa.array(order.astype(np.float64)))
    version = whole.column("version").to_numpy().astype(np.float64)
    version[version < 0] = np.nan  # not the policy's
    at = whole.column_names.index("version")
    whole = whole.set_column(at, "version", pa.array(version))
    return whole.append_column("run", pa.array([part.name] * len(whole)))


def _chosen(rewards: np.ndarray, status: pa.ChunkedArray) -> np.ndarray:
    """int64: which rows a page has, in their order."""
    size = len(rewards)
    if size <= MOST_ROWS:
        return np.arange(size)
    ok = pc.equal(status, "ok").to_numpy()
    order = np.argsort(-np.where(ok & np.isfinite(rewards), rewards, -np.inf), kind="stable")
    best = order[:BEST_ROWS]
    others = np.setdiff1d(np.arange(size), best)
    spread = evenly(len(others), MOST_ROWS - len(best))
    return np.sort(np.concatenate([best, others[spread]]))


def evenly(size: int, most: int) -> np.ndarray:
    """int64: up to `most` numbers below `size`, spread evenly, the first and the last included."""
    return np.unique(np.linspace(0, size - 1, min(most, size)).astype(np.int64))
