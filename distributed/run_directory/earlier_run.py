"""The scores of an earlier run under this run's [reward], from the raw values on its record.

Weights, transforms, roles and the aggregate may differ: nothing is scored again. For components
that the earlier run hadn't, `lacking` gives the sequences; `LackingValues` has their raw values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sequence_tutor.distributed.arrow_schema import padded
from sequence_tutor.distributed.bulk.assemble import Outputs
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError
from sequence_tutor.distributed.given_parts import SpellingEncoding
from sequence_tutor.distributed.replay.messages import WARM_START
from sequence_tutor.distributed.replay.record.store import PartStore, RecordError, record_of
from sequence_tutor.distributed.replay.record.writer import readable, scan
from sequence_tutor.distributed.run_directory.resume import config_of
from sequence_tutor.distributed.run_directory.warm_start import WarmStart, spelled
from sequence_tutor.distributed.scoring.columns import step_columns
from sequence_tutor.distributed.types import Scored
from sequence_tutor.policies.encodings.base import Encoding, action_texts, pad
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.rewards.base import Domain, Scores, Status
from sequence_tutor.rewards.compile import without_calls
from sequence_tutor.rewards.compiled_reward import Objective
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.on_record import values_on_record

_NEEDED = ("key", "sequence", "reward", "status")
_RAW, _STEPS = "raw.", "steps."


@dataclass(frozen=True)
class LackingValues:
    """Raw values of components that an earlier run hadn't, for N of its sequences."""

    scores: Scores
    """What became of the N sequences; raw values by the components' keys in the new reward."""
    rows: np.ndarray
    """int64 [N] rows of the earlier run."""


@dataclass
class _Columns:
    """The B valid rows of an earlier run."""

    keys: list[str] = field(default_factory=list)
    """B keys, all different."""
    sequences: list[str] = field(default_factory=list)
    """B sequences."""
    rewards: np.ndarray = field(default_factory=lambda: np.empty(0))
    """float64 [B] rewards that the earlier run gave them."""
    raw: dict[str, np.ndarray] = field(default_factory=dict)
    """float64 [B] by the earlier run's components, NaN where one wasn't called."""
    steps: dict[str, np.ndarray] = field(default_factory=dict)
    """float32 [B,T] by the earlier run's components that judge by the step, NaN after the end."""


class NothingOfUseError(ConfigError):
    """An earlier run has no score that this one can use."""


class EarlierRun:
    """The rows of an earlier run, with the rewards that `run` gives them.

    where: its directory, with the config `before`. missing: keys of the components of `run` whose
    values the earlier run hasn't. same_reward: whether its rewards are those of `run`. Raises
    NothingOfUseError, or ConfigError where its record can't be read.
    """

    def __init__(
        self,
        where: Location,
        record: Location,
        before: RunConfig,
        run: RunConfig,
        encoding: Encoding,
    ) -> None:
        domain = run.domain.name
        self.where = where
        self._objective: Objective = without_calls(run.reward, domain)
        self.same_reward = before.reward.identity() == run.reward.identity()
        self._known = values_on_record(run.reward, before.reward, domain)
        self.missing = [key for key in self._objective.keys if key not in self._known]
        rules = [(one.told_apart, one.window) for one in (before.reward, run.reward)]
        if not self._known:
            raise NothingOfUseError(
                f"the [reward] of {where} has none of this run's components "
                f"({', '.join(self.missing)}); to learn from its rewards as they are, give "
                "--reward-column reward"
            )
        try:
            self._columns = _read(PartStore(record), before.reward.identity())
        except RecordError as error:
            raise ConfigError(str(error)) from error
        if not len(self):
            raise NothingOfUseError(f"{record} has no valid row of the [reward] of {where}")
        if rules[0] != rules[1]:
            self._columns = _told_apart(self._columns, run.domain)
        found = [
            spelled(encoding, sequence, key)
            for sequence, key in zip(self._columns.sequences, self._columns.keys, strict=True)
        ]
        if isinstance(encoding, SpellingEncoding):  # this run makes no sequence without its parts
            kept = [row for row, (_, actions, _) in enumerate(found) if len(actions)]
            if not kept:
                raise NothingOfUseError(f"no sequence of {where} has the given parts of this run")
            self._columns = _selected(self._columns, kept)
            found = [found[row] for row in kept]
        self._spellings = [text for text, _, _ in found]
        self._tokens, self._lengths = pad([actions for _, actions, _ in found])
        self._texts = [
            action_texts(encoding, row, n)
            for row, n in zip(self._tokens, self._lengths.tolist(), strict=True)
        ]

    def __len__(self) -> int:
        return len(self._columns.keys)

    @property
    def known(self) -> list[str]:
        """Keys of the components of the new reward whose values are on record."""
        return list(self._known)

    def lacking(self) -> np.ndarray:
        """int64 [N] rows whose reward needs a component in `missing` and nothing else, those with
        the highest reward in the earlier run first."""
        if not self.missing:
            return np.empty(0, np.int64)
        raw = self._raw(None)
        complete = np.ones(len(self), bool)
        for key in self._known:
            complete &= ~np.isnan(raw[key])
        rows = np.flatnonzero(complete & (self._recomputed(raw).status != Status.OK))
        return rows[np.argsort(-self._columns.rewards[rows], kind="stable")]

    def sequences(self, rows: np.ndarray) -> list[str]:
        """The sequences of rows."""
        return [self._columns.sequences[i] for i in rows.tolist()]

    def rows_of(self, sequences: list[str]) -> np.ndarray:
        """int64 [N] rows of sequences that are among them."""
        row_of = {text: row for row, text in enumerate(self._columns.sequences)}
        return np.array([row_of[text] for text in sequences], np.int64)

    def scored(self, now: float, found: LackingValues | None = None) -> tuple[Scored, int]:
        """Rows for the replay, at `now` in Unix seconds, and the number of rows that are left out
        as values are missing. With `found`, sequences that failed have failed here too."""
        raw = self._raw(found)
        scores = self._recomputed(raw)
        if self.same_reward:  # also of rows that were taken from a table, without raw values
            kept = scores.status != Status.OK
            scores.rewards[kept], scores.status[kept] = self._columns.rewards[kept], Status.OK
            for row in np.flatnonzero(kept).tolist():
                scores.errors[row] = ""
        tried = np.zeros(len(self), bool)
        if found is not None:
            tried[found.rows] = True
            for at, row in enumerate(found.rows.tolist()):
                if found.scores.status[at] > Status.INVALID:
                    scores.status[row] = found.scores.status[at]
                    scores.errors[row] = found.scores.errors[at]
        rows = np.flatnonzero((scores.status == Status.OK) | tried)
        steps, step_raw = step_columns(scores, self._tokens.shape[1])
        n = len(self)
        scored = Scored(
            tokens=self._tokens,
            lengths=self._lengths,
            log_probs=np.full(n, np.nan, np.float32),
            rewards=scores.rewards,
            step_rewards=steps,
            status=scores.status,
            versions=np.full(n, -1, np.int32),
            scored_at=np.full(n, now),
            seconds=np.zeros(n, np.float32),
            sequences=self._spellings,
            keys=self._columns.keys,
            errors=scores.errors,
            sources=[WARM_START] * n,
            actors=[""] * n,
            raw=raw,  # also what a filter makes needless here: the next reward may need it
            transformed=scores.transformed,
            step_raw=step_raw,
        )
        return scored.select(rows), n - len(rows)

    def _raw(self, found: LackingValues | None) -> dict[str, np.ndarray]:
        """Raw values by the new reward's components, float64 [B] each."""
        nothing = np.full(len(self), np.nan)
        raw = {key: self._columns.raw.get(old, nothing) for key, old in self._known.items()}
        for key in self.missing:
            raw[key] = nothing.copy()
            if found is not None and key in found.scores.raw:
                raw[key][found.rows] = found.scores.raw[key]
        return raw

    def _recomputed(self, raw: Mapping[str, np.ndarray]) -> Scores:
        steps = {}
        for key in self._objective.step_keys:
            recorded = self._columns.steps.get(self._known.get(key, ""))
            steps[key] = (
                np.full((len(self), 1), np.nan, np.float32) if recorded is None else recorded
            )
        return self._objective.recompute(raw, self._texts, steps)


def _read(store: PartStore, reward_id: str) -> _Columns:
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
            tables.append(table.take(list(first.values())))
    if not tables:
        return _Columns()
    whole = pa.concat_tables(tables, promote_options="default")
    names = whole.column_names
    return _Columns(
        keys=whole.column("key").to_pylist(),
        sequences=whole.column("sequence").to_pylist(),
        rewards=_numbers(whole.column("reward")),
        raw={n.removeprefix(_RAW): _numbers(whole.column(n)) for n in names if n.startswith(_RAW)},
        steps={
            n.removeprefix(_STEPS): padded(whole.column(n), np.float32, empty=np.nan)[0]
            for n in names
            if n.startswith(_STEPS)
        },
    )


def _told_apart(columns: _Columns, domain: Domain) -> _Columns:
    """The rows with the keys of another domain, the first of each key."""
    first: dict[str, int] = {}
    for row, sequence in enumerate(columns.sequences):
        if (key := domain.key(sequence)) is not None:
            first.setdefault(key, row)
    return replace(_selected(columns, list(first.values())), keys=list(first))


def _selected(columns: _Columns, rows: list[int]) -> _Columns:
    """The given rows, in that order."""
    return _Columns(
        [columns.keys[i] for i in rows],
        [columns.sequences[i] for i in rows],
        columns.rewards[rows],
        {name: values[rows] for name, values in columns.raw.items()},
        {name: values[rows] for name, values in columns.steps.items()},
    )


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """float64 [B], NaN where there is no value; may be written to."""
    return np.array(pc.fill_null(column, np.nan).to_numpy(), np.float64)


def earlier_run(start: WarmStart, run: RunConfig, encoding: Encoding) -> EarlierRun | None:
    """The earlier run that a warm start names, by its directory, its record or a result of `score`;
    None where it is a table without one, or where the user names columns of values to take as they
    are. Raises ConfigError as `EarlierRun`."""
    if start.column or start.reward_column or start.lower_is_better:
        return None
    for directory, record in places_of(Location(start.where)):
        try:
            before = config_of(directory)
        except ConfigError:  # none, or one of an older version
            continue
        if domain_of(before.encoding).name == run.domain.name:
            if record is None:
                scores = record_of(before.replay, directory)
                record = scores if before.replay.record or scores.is_dir() else directory
            return EarlierRun(directory, record, before, run, encoding)
    return None


def places_of(where: Location) -> Iterator[tuple[Location, Location | None]]:
    """Directories that may have the config of these scores, and the record if it isn't the one that
    the config says."""
    name = PurePosixPath(where.name)
    if where.is_dir():
        yield where, None
        if where.is_local:
            yield Location(where.path.parent), where
    elif name.suffix.lower() in (".csv", ".parquet"):
        record = Outputs.of(where).record
        yield record, record
