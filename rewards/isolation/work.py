"""The work of children: jobs, the units they are split into, and their results put together.

B sequences are one `Job`, to be scored, or one `IdentityJob`, whose keys are to be found. Its units
have one sequence each, so that a crash fails only that sequence, or the whole batch where the
reward judges whole batches.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sequence_tutor.rewards.attachments import Attachment
from sequence_tutor.rewards.base import Identity, Scores, Status
from sequence_tutor.rewards.compiled_reward import Objective, pay_failed
from sequence_tutor.rewards.config import RewardConfig

# Longest error text of a sequence.
ERROR_CHARACTERS = 500
# Seconds that finding the key of one sequence may take; for a molecule it takes milliseconds.
KEY_S = 10.0
# First words of the error of a sequence for which no process could be kept alive.
NO_PROCESS = "no process to score it"


class Shape(NamedTuple):
    """The form of an objective's `Scores`: K components, S of which judge by the step."""

    keys: tuple[str, ...]
    """Names of the K components, in order."""
    step_keys: tuple[str, ...]
    """Names of the S components that judge by the step."""
    pays_steps: bool
    """Whether scores have `step_rewards`."""
    judges_batches: bool
    """Whether the objective needs, or gains by, whole batches."""

    @staticmethod
    def of(objective: Objective) -> Shape:
        return Shape(
            objective.keys, objective.step_keys, objective.pays_steps, objective.judges_batches
        )


class UnitResult(NamedTuple):
    """The results of a unit of n sequences, arrays as their bytes."""

    number: int
    """Number of the unit."""
    seconds: float
    """Wall seconds that the unit took."""
    status: bytes
    """int8 [n] of `Status`."""
    errors: list[str] | None
    """n texts; None where all are ""."""
    table: bytes
    """float64 [1+2K,n]: the reward, the raw and the transformed values."""
    steps: bytes
    """float32 [P+S,n,T]: step rewards (P is 1, or 0 without them), then step values."""
    keys: list[str | None] | None = None
    """n keys of an identity job, None for an invalid sequence; None for a job to be scored."""
    files: list[tuple[Attachment, ...]] | None = None
    """What components kept for each of the n sequences; None where they kept nothing."""


def pack(number: int, seconds: float, scores: Scores) -> UnitResult:
    """Pack scores as bytes, since pickled arrays have a header each."""
    columns = [scores.rewards, *scores.raw.values(), *scores.transformed.values()]
    steps = [] if scores.step_rewards is None else [scores.step_rewards]
    steps += scores.step_raw.values()
    return UnitResult(
        number,
        seconds,
        scores.status.tobytes(),
        scores.errors if any(scores.errors) else None,
        b"".join([column.tobytes() for column in columns]),
        b"".join([values.tobytes() for values in steps]),
        files=scores.files,
    )


def pack_identities(number: int, seconds: float, found: Sequence[Identity]) -> UnitResult:
    """Pack keys like scores without a reward."""
    status = [Status.INVALID if one.key is None else Status.OK for one in found]
    return UnitResult(
        number,
        seconds,
        np.array(status, np.int8).tobytes(),
        [one.reason for one in found] if any(one.reason for one in found) else None,
        np.full(len(found), np.nan).tobytes(),
        b"",
        [one.key for one in found],
    )


class Job:
    """B sequences and their results so far. Only the pool's thread writes to it.

    identifies: whether keys are wanted, not scores; timeout_s: seconds that one sequence may take;
    late: error text of one that takes longer; retries: how often one that failed is tried again;
    known: raw values that needn't be called for, see `Reward`;
    done: set when all are settled; abandoned: whether the caller has stopped waiting.
    """

    identifies = False

    def __init__(
        self,
        sequences: Sequence[str],
        tokens: Sequence[Sequence[str]] | None,
        shape: Shape,
        timeout_s: float,
        retries: int = 0,
        known: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        size = len(sequences)
        self.timeout_s, self.retries = timeout_s, retries
        self.late = f"took longer than timeout_s = {timeout_s:g}"
        self.sequences, self.shape = list(sequences), shape
        self.tokens = None if tokens is None else [list(row) for row in tokens]
        self.known = known or {}
        # lists, since they are read and written one by one
        self.status = [int(Status.FAILED)] * size
        self.errors = [""] * size
        self.seconds = [0.0] * size
        self.attempts = [0] * size
        self.left = size
        self.done = threading.Event()
        self.abandoned = False
        self._table = np.full((1 + 2 * len(shape.keys), size), np.nan)
        self._steps: list[tuple[list[int], np.ndarray]] = []
        self._files: dict[int, tuple[Attachment, ...]] = {}
        self._layers = int(shape.pays_steps) + len(shape.step_keys)

    def enter(self, rows: list[int], done: UnitResult) -> None:
        """Enter a child's results for `rows`. Raises ValueError where they don't fit."""
        n = len(rows)
        table = np.frombuffer(done.table).reshape(len(self._table), n)
        if len(done.status) != n or (done.errors is not None and len(done.errors) != n):
            raise ValueError("the results of a child don't fit its unit")
        if self._layers:
            steps = np.frombuffer(done.steps, np.float32).reshape(self._layers, n, -1)
            self._steps.append((rows, steps))
        self._enter_files(rows, done)
        self._table[:, rows] = table
        for at, row in enumerate(rows):
            self.status[row] = done.status[at]
            self.errors[row] = "" if done.errors is None else done.errors[at][:ERROR_CHARACTERS]

    def _enter_files(self, rows: list[int], done: UnitResult) -> None:
        if done.files is None and not self._files:
            return
        for row in rows:  # of an earlier attempt
            self._files.pop(row, None)
        if done.files is not None:
            self._files |= dict(zip(rows, done.files, strict=True))

    def condemn(self, row: int, status: Status, error: str) -> None:
        """Note that a sequence ended its process, and discard an earlier attempt's values."""
        self._table[:, row] = np.nan
        self._files.pop(row, None)
        for at, (rows, steps) in enumerate(self._steps if self.attempts[row] > 1 else ()):
            if row in rows:
                self._steps[at] = (rows, steps.copy())
                self._steps[at][1][:, rows.index(row)] = np.nan
        self.status[row], self.errors[row] = int(status), error[:ERROR_CHARACTERS]

    def spend(self, rows: list[int], seconds: float) -> None:
        """Add `seconds` that some sequences took together, in equal parts."""
        for row in rows:
            self.seconds[row] += seconds / len(rows)

    def close(self, rows: int) -> None:
        """Count `rows` more sequences as settled; at the last one set `done`."""
        self.left -= rows
        if self.left <= 0:
            self.done.set()

    def scores(self, config: RewardConfig) -> Scores:
        """The scores of the whole batch, as one call of the objective would return them."""
        keys = self.shape.keys
        for row, tries in enumerate(self.attempts):
            if tries > 1 and self.status[row] > Status.INVALID:
                after = f" (after {tries} attempts)"
                self.errors[row] = self.errors[row][: ERROR_CHARACTERS - len(after)] + after
        step_rewards, step_raw = self._put_steps_together()
        scores = Scores(
            rewards=self._table[0],
            status=np.array(self.status, np.int8),
            errors=self.errors,
            raw=dict(zip(keys, self._table[1:], strict=False)),
            transformed=dict(zip(keys, self._table[1 + len(keys) :], strict=True)),
            step_rewards=step_rewards,
            step_raw=step_raw,
            seconds=np.array(self.seconds, np.float32),
            files=[self._files.get(row, ()) for row in range(len(self.sequences))]
            if self._files
            else None,
        )
        ends = [0] * len(self.sequences) if self.tokens is None else list(map(len, self.tokens))
        pay_failed(scores, config.failed, ends)
        return scores

    def _put_steps_together(self) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
        """Step rewards and step values, float32 [B,T+1] each for at most T tokens, since the end
        may be one more action. Without `tokens` only the lengths of scored sequences are known."""
        if not self._layers:
            return None, {}
        width = 1 + max(map(len, self.tokens or ()), default=0)
        width = max([width, *(steps.shape[2] for _, steps in self._steps)])
        layers = np.full((self._layers, len(self.sequences), width), np.nan, np.float32)
        pays = int(self.shape.pays_steps)
        if pays:
            layers[0, ~np.isnan(self._table[0])] = 0.0
        for rows, steps in self._steps:
            layers[:, rows, : steps.shape[2]] = steps
        step_raw = dict(zip(self.shape.step_keys, layers[pays:], strict=True))
        return layers[0] if pays else None, step_raw


class IdentityJob(Job):
    """B sequences whose keys are wanted."""

    identifies = True

    def __init__(self, sequences: Sequence[str], timeout_s: float) -> None:
        timeout_s = min(timeout_s, KEY_S)
        super().__init__(sequences, None, Shape((), (), False, False), timeout_s)
        self.late = f"its canonical form took longer than {timeout_s:g} s"
        self._keys: list[str | None] = [None] * len(self.sequences)

    def enter(self, rows: list[int], done: UnitResult) -> None:
        super().enter(rows, done)
        if done.keys is None or len(done.keys) != len(rows):
            raise ValueError("the keys of a child don't fit its unit")
        for row, key in zip(rows, done.keys, strict=True):
            self._keys[row] = key

    def identities(self) -> list[Identity]:
        """One identity per sequence; those that ended their process, or timed out, are invalid."""
        found = []
        for key, status, error in zip(self._keys, self.status, self.errors, strict=True):
            if status in (Status.OK, Status.INVALID):
                found.append(Identity(key, error))
            elif error.startswith(NO_PROCESS):
                found.append(Identity(None, error, Status.CRASHED))
            else:
                reason = error if status == Status.TIMEOUT else f"reading it: {error}"
                found.append(Identity(None, reason, Status.INVALID))
        return found


@dataclass(eq=False)
class Unit:
    """The n rows of a job that a child scores at once."""

    job: Job
    """The job that the sequences belong to."""
    rows: list[int]
    """Rows [n] of the job."""
    fresh: bool = False
    """Whether only a child that has begun no unit may score it."""
    losses: int = 0
    """Number of processes that had received the unit and ended before they began it."""
    sequences: list[str] = field(init=False)
    """Its n sequences."""
    tokens: list[list[str]] | None = field(init=False)
    """Texts of the actions of each sequence; None where the job has none."""
    known: dict[str, list[float]] = field(init=False)
    """Its part of the job's known raw values."""

    def __post_init__(self) -> None:
        job = self.job
        self.sequences = [job.sequences[i] for i in self.rows]
        self.tokens = None if job.tokens is None else [job.tokens[i] for i in self.rows]
        self.known = {name: values[self.rows].tolist() for name, values in job.known.items()}

    def halves(self) -> list[Unit]:
        """The first and the second half of its sequences, as two units."""
        middle = len(self.rows) // 2
        return [Unit(self.job, self.rows[:middle]), Unit(self.job, self.rows[middle:])]
