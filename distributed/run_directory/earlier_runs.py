"""The scores of earlier runs under this run's [reward], from the raw values on their records.

Weights, transforms, roles and the aggregate may differ: nothing is scored again. For components
that no earlier run had, `lacking` gives the sequences; `LackingValues` has their raw values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from sequence_tutor.distributed.bulk.assemble import Outputs
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError
from sequence_tutor.distributed.given_parts import SpellingEncoding
from sequence_tutor.distributed.replay.messages import WARM_START
from sequence_tutor.distributed.replay.record.store import PartStore, RecordError, record_of
from sequence_tutor.distributed.run_directory.recorded_values import (
    RecordedValues,
    merged,
    recorded_values,
)
from sequence_tutor.distributed.run_directory.resume import config_of
from sequence_tutor.distributed.run_directory.warm_start import WarmStart, spelled
from sequence_tutor.distributed.scoring.columns import step_columns
from sequence_tutor.distributed.scoring.earlier_values import EarlierValues, earlier_values
from sequence_tutor.distributed.stages import run_directories
from sequence_tutor.distributed.types import Scored
from sequence_tutor.policies.encodings.base import Encoding, action_texts, pad
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.rewards.base import Scores, Status
from sequence_tutor.rewards.compile import without_calls
from sequence_tutor.rewards.compiled_reward import Objective
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.on_record import values_on_record


@dataclass(frozen=True)
class LackingValues:
    """Raw values of components that no earlier run had, for N of their sequences."""

    scores: Scores
    """What became of the N sequences; raw values by the components' keys in the new reward."""
    rows: np.ndarray
    """int64 [N] rows of the earlier runs."""
    steps: Mapping[str, np.ndarray] = field(default_factory=dict)
    """float32 [N,T] by the key of a component that judges by the step, NaN after the end and where
    there is none."""


class NothingOfUseError(ConfigError):
    """Earlier runs have no score that this one can use."""


class RunOnRecord(NamedTuple):
    """An earlier run."""

    where: Location
    """Its directory."""
    record: Location
    """Its record."""
    config: RunConfig
    """Its config."""


class EarlierRuns:
    """The rows of earlier runs, with the rewards that `run` gives them.

    before: the runs, oldest first; the last gives its name. known, missing: keys of the components
    of `run` whose values one of them has, and none. same_reward: whether the rewards of the last
    are those of `run`. Raises NothingOfUseError, or ConfigError where a record can't be read.
    """

    def __init__(self, before: Sequence[RunOnRecord], run: RunConfig, encoding: Encoding) -> None:
        domain = run.domain.name
        last = before[-1]
        self.where = last.where
        self._objective: Objective = without_calls(run.reward, domain)
        self.same_reward = last.config.reward.identity() == run.reward.identity()
        names = [values_on_record(run.reward, one.config.reward, domain) for one in before]
        keys = self._objective.keys
        self.known = [key for key in keys if any(key in known for known in names)]
        self.missing = [key for key in keys if key not in self.known]
        if not self.known:
            raise NothingOfUseError(
                f"the [reward] of {self.where} has none of this run's components "
                f"({', '.join(self.missing)}); to learn from its rewards as they are, give "
                "--reward-column reward"
            )
        try:
            found = [
                _values(one, known, run)
                for one, known in zip(before, names, strict=True)
                if known or self.same_reward
            ]
        except RecordError as error:
            raise ConfigError(str(error)) from error
        for one in found[:-1]:  # rewards of several goals can't be compared
            one.rewards[:] = np.nan
        self._values = merged(found)
        if not len(self):
            raise NothingOfUseError(
                f"{last.record} has no valid row of the [reward] of {last.where}"
            )
        self._spell(encoding)

    def _spell(self, encoding: Encoding) -> None:
        """Find the actions of each sequence, and leave out what this run can't make."""
        found = [
            spelled(encoding, sequence, key)
            for sequence, key in zip(self._values.sequences, self._values.keys, strict=True)
        ]
        lacks = ""
        if isinstance(encoding, SpellingEncoding):  # this run makes no sequence without its parts
            lacks = "has the given parts of this run"
        elif self._objective.step_keys:  # without actions there are no steps to pay for
            lacks = "can be written by the prior of this run"
        if lacks:
            kept = [row for row, (_, actions, _) in enumerate(found) if len(actions)]
            if not kept:
                raise NothingOfUseError(f"no sequence of {self.where} {lacks}")
            self._values = self._values.select(kept)
            found = [found[row] for row in kept]
        self._spellings = [text for text, _, _ in found]
        self._tokens, self._lengths = pad([actions for _, actions, _ in found])
        self._texts = [
            action_texts(encoding, row, n)
            for row, n in zip(self._tokens, self._lengths.tolist(), strict=True)
        ]

    def __len__(self) -> int:
        return len(self._values)

    def lacking(self) -> np.ndarray:
        """int64 [N] rows whose reward needs a component in `missing` and nothing else, those with
        the highest reward in the last run that serves this one first, then those without one."""
        if not self.missing:
            return np.empty(0, np.int64)
        raw = self._raw(None)
        complete = np.ones(len(self), bool)
        for key in self.known:
            complete &= ~np.isnan(raw[key])
        rows = np.flatnonzero(complete & (self._recomputed(raw).status != Status.OK))
        return rows[np.argsort(-self._values.rewards[rows], kind="stable")]

    def sequences(self, rows: np.ndarray) -> list[str]:
        """The sequences of rows."""
        return [self._values.sequences[i] for i in rows.tolist()]

    def rows_of(self, sequences: list[str]) -> np.ndarray:
        """int64 [N] rows of sequences that are among them."""
        row_of = {text: row for row, text in enumerate(self._values.sequences)}
        return np.array([row_of[text] for text in sequences], np.int64)

    def scored(
        self, now: float, found: LackingValues | None = None
    ) -> tuple[Scored, EarlierValues]:
        """Rows for the replay, at `now` in Unix seconds, and what is known of those that are left
        out as values are missing. With `found`, sequences that failed have failed here too."""
        raw = self._raw(found)
        scores = self._recomputed(raw, found)
        if self.same_reward:  # also of rows that were taken from a table, without raw values
            kept = (scores.status != Status.OK) & np.isfinite(self._values.rewards)
            scores.rewards[kept], scores.status[kept] = self._values.rewards[kept], Status.OK
            for row in np.flatnonzero(kept).tolist():
                scores.errors[row] = ""
        tried = np.zeros(len(self), bool)
        if found is not None:
            tried[found.rows] = True
            for at, row in enumerate(found.rows.tolist()):
                if found.scores.status[at] > Status.INVALID:
                    scores.status[row] = found.scores.status[at]
                    scores.errors[row] = found.scores.errors[at]
        usable = (scores.status == Status.OK) | tried
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
            keys=self._values.keys,
            errors=scores.errors,
            sources=[WARM_START] * n,
            actors=[""] * n,
            raw=raw,  # also what a filter makes needless here: the next reward may need it
            transformed=scores.transformed,
            step_raw=step_raw,
        )
        return scored.select(np.flatnonzero(usable)), self._left_out(~usable, raw)

    def _left_out(self, rows: np.ndarray, raw: Mapping[str, np.ndarray]) -> EarlierValues:
        left = self._values.select(np.flatnonzero(rows))
        steps = {key: left.steps[key] for key in self._objective.step_keys if key in left.steps}
        return EarlierValues(
            left.keys, left.sequences, {key: raw[key][rows] for key in self._objective.keys}, steps
        )

    def _raw(self, found: LackingValues | None) -> dict[str, np.ndarray]:
        """Raw values by the new reward's components, float64 [B] each."""
        nothing = np.full(len(self), np.nan)
        raw = {key: self._values.raw.get(key, nothing).copy() for key in self._objective.keys}
        for key in self.missing:
            if found is not None and key in found.scores.raw:
                raw[key][found.rows] = found.scores.raw[key]
        return raw

    def _recomputed(
        self, raw: Mapping[str, np.ndarray], found: LackingValues | None = None
    ) -> Scores:
        steps = {key: self._steps(key, found) for key in self._objective.step_keys}
        return self._objective.recompute(raw, self._texts, steps)

    def _steps(self, key: str, found: LackingValues | None) -> np.ndarray:
        """Values by the step of a component, float32 [B,T], NaN where there is none."""
        steps = self._values.steps.get(key, np.full((len(self), 1), np.nan, np.float32))
        if key in self.missing and found is not None and key in found.steps:
            steps = np.full((len(self), found.steps[key].shape[1]), np.nan, np.float32)
            steps[found.rows] = found.steps[key]
        pairs = zip(self._spellings, self._values.sequences, strict=True)
        other = [now != before for now, before in pairs]  # has other steps
        return np.where(np.array(other)[:, None], np.float32(np.nan), steps)


def _values(before: RunOnRecord, names: Mapping[str, str], run: RunConfig) -> RecordedValues:
    """The values of an earlier run by the components of `run`. Raises RecordError."""
    reward = before.config.reward
    values = recorded_values(PartStore(before.record), reward.identity())
    values = values.with_earlier(earlier_values(before.where)).renamed(names)
    rules = [(one.told_apart, one.window) for one in (reward, run.reward)]
    return values if rules[0] == rules[1] else values.told_apart(run.domain)


def earlier_runs(start: WarmStart, run: RunConfig, encoding: Encoding) -> EarlierRuns | None:
    """The earlier run that a warm start names, by its directory, its record or a result of `score`;
    None where it is a table without one, or where the user names columns of values to take as they
    are. Of a run in stages all count. Raises ConfigError as `EarlierRuns`."""
    if start.column or start.reward_column or start.lower_is_better:
        return None
    for directory, record in places_of(Location(start.where)):
        try:
            before = config_of(directory)
        except ConfigError:  # none, or one of an older version
            continue
        if domain_of(before.encoding).name != run.domain.name:
            continue
        runs = [run_on_record(one, record) for one in run_directories(directory, before)]
        return EarlierRuns(runs, run, encoding) if runs else None
    return None


def run_on_record(directory: Location, record: Location | None = None) -> RunOnRecord:
    """The run in a directory; record: where that is if not where the config says. Raises
    ConfigError."""
    config = config_of(directory)
    if record is None:
        scores = record_of(config.replay, directory)
        record = scores if config.replay.record or scores.is_dir() else directory
    return RunOnRecord(directory, record, config)


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
