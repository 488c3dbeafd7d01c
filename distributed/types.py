"""The carriers that travel between processes, and the schema they rest in.

NumPy in flight, Arrow at rest. A row of the record is one scored sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sequence_tutor.policies.encodings.base import Episodes
from sequence_tutor.rewards.base import Status

# Float32 arrays of a network by name.
Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class Generated:
    """Episodes fresh from an actor.

    version: updates the behaviour policy had seen; actor: its run id, new after each restart;
    source: what made them, "policy" or the name of an explorer; seconds: time spent.
    """

    episodes: Episodes
    version: int
    actor: str
    source: str
    seconds: float

    def slice(self, first: int, last: int) -> Generated:
        """Rows first to last - 1."""
        e = self.episodes
        part = Episodes(e.tokens[first:last], e.lengths[first:last], e.log_probs[first:last])
        return replace(self, episodes=part)


@dataclass(frozen=True)
class Scored:
    """B scored sequences as columns, the content of the replay.

    tokens int16 [B,T] (zeros after the end), lengths int32 [B], log_probs float32 [B] (behaviour,
    nats), rewards float64 [B], step_rewards float32 [B,T] or None, status int8 [B] of `Status`,
    versions int32 [B], scored_at float64 [B] (Unix seconds), seconds float32 [B] spent scoring,
    raw and transformed component values float64 [B], step_raw those by the action of the
    components that judge so, float32 [B,T]: the record keeps them, nobody learns from them. The
    rest are texts.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    log_probs: np.ndarray
    rewards: np.ndarray
    step_rewards: np.ndarray | None
    status: np.ndarray
    versions: np.ndarray
    scored_at: np.ndarray
    seconds: np.ndarray
    sequences: list[str]
    keys: list[str]
    errors: list[str]
    sources: list[str]
    actors: list[str]
    raw: dict[str, np.ndarray]
    transformed: dict[str, np.ndarray]
    step_raw: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    def select(self, rows: Sequence[int] | np.ndarray) -> Scored:
        """The given rows, in that order."""
        changes: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray):
                changes[f.name] = value[np.asarray(rows, dtype=np.int64)]
            elif isinstance(value, list):
                changes[f.name] = [value[i] for i in rows]
            elif isinstance(value, dict):
                index = np.asarray(rows, dtype=np.int64)
                changes[f.name] = {k: v[index] for k, v in value.items()}
        return replace(self, **changes)


@dataclass(frozen=True)
class ActorReport:
    """What the driver sees of a generated batch: the actor's number, rows, weights version, seconds
    spent and the mean KL to the prior in nats per episode."""

    worker: int
    rows: int
    version: int
    seconds: float
    kl_to_prior: float


# Bounds in seconds of the buckets that tell how long scores take; beyond the last is one more.
SCORE_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
DURATIONS = len(SCORE_SECONDS) + 1


@dataclass(frozen=True)
class ScoreReport:
    """What the driver sees of a scored batch: counts of rows, valid and failed ones and those that
    needed no new score; how many have a reward, and the sum of those; seconds spent; rows added
    to the replay, and those of them that count against the score budget; the first error; and of
    the new scores how many there are of each `Status`, and but for invalid sequences how many took
    up to each of SCORE_SECONDS, the last number being of those that took longer; unpriced, how many
    rows are invalid and have no reward of their own."""

    rows: int
    valid: int
    failed: int
    repeated: int
    rewarded: int
    reward_sum: float
    seconds: float
    added: int = 0
    paid: int = 0
    error: str = ""
    statuses: tuple[int, ...] = (0,) * len(Status)
    durations: tuple[int, ...] = (0,) * DURATIONS
    unpriced: int = 0


@dataclass(frozen=True)
class LearnerReport:
    """What the driver sees of some updates: how many, and since the start; rows consumed; batches
    that were lost on the way; means of loss, |residual| and staleness (in updates); the last value
    of the start state, nats; and seconds spent fetching batches, learning and publishing."""

    updates: int
    total_updates: int
    rows: int
    lost: int
    loss: float
    residual: float
    start_value: float
    staleness: float
    fetch_s: float
    learn_s: float
    publish_s: float


@dataclass(frozen=True)
class TrainingBatch:
    """What an update consumes: tokens int16 [B,T], lengths int32 [B], rewards float32 [B,T] (per
    step, a terminal reward at the last action), versions int32 [B] of the behaviour policy."""

    tokens: np.ndarray
    lengths: np.ndarray
    rewards: np.ndarray
    versions: np.ndarray


@dataclass(frozen=True)
class SampleMeta:
    """What the driver sees of a sampled batch: rows, mean reward, mean behaviour version."""

    rows: int
    mean_reward: float
    mean_version: float


def per_step(scored: Scored) -> np.ndarray:
    """float32 [B,T] rewards per step: `step_rewards` where the reward pays along the way, else the
    terminal reward at the last action. Rows without a reward or without actions are all zero."""
    if scored.step_rewards is not None:
        return scored.step_rewards
    steps = np.zeros(scored.tokens.shape, dtype=np.float32)
    rows = np.flatnonzero(np.isfinite(scored.rewards) & (scored.lengths > 0))
    steps[rows, scored.lengths[rows] - 1] = scored.rewards[rows]
    return steps


def concatenate(batches: Sequence[Scored]) -> Scored:
    """One batch of many. A component that a batch lacks (all its rows failed) is NaN there, and
    where only some batches have per-step rewards the others' terminal rewards become such.

    Raises ValueError for no batches at all.
    """
    longest = max(b.tokens.shape[1] for b in batches)
    columns: dict[str, object] = {}
    for f in fields(Scored):
        values = [getattr(b, f.name) for b in batches]
        if f.name == "step_rewards" and any(v is not None for v in values):
            values = [per_step(b) for b in batches]
        if f.name in ("tokens", "step_rewards") and values[0] is not None:
            columns[f.name] = np.concatenate(
                [np.pad(v, ((0, 0), (0, longest - v.shape[1]))) for v in values]
            )
        elif isinstance(values[0], np.ndarray):
            columns[f.name] = np.concatenate(values)
        elif isinstance(values[0], list):
            columns[f.name] = [x for v in values for x in v]
        elif isinstance(values[0], dict):
            names = dict.fromkeys(k for v in values for k in v)
            columns[f.name] = {k: _joined([v.get(k) for v in values], batches) for k in names}
        else:
            columns[f.name] = None
    return Scored(**columns)  # type: ignore[arg-type]


def _joined(values: Sequence[np.ndarray | None], batches: Sequence[Scored]) -> np.ndarray:
    """A component of all batches, [B] or [B,T]; NaN where it lacks a batch or is narrower."""
    by_action = any(v is not None and v.ndim == 2 for v in values)
    width = max(b.tokens.shape[1] for b in batches) if by_action else 0
    parts = []
    for value, batch in zip(values, batches, strict=True):
        if value is None:
            value = np.full((len(batch), width) if width else len(batch), np.nan)
        if width:
            gap = ((0, 0), (0, width - value.shape[1]))
            value = np.pad(value.astype(np.float32), gap, constant_values=np.nan)
        parts.append(value)
    return np.concatenate(parts)


def to_table(scored: Scored) -> pa.Table:
    """Rows for Parquet. Component values become columns `raw.NAME` and `transformed.NAME`, those by
    the action lists `steps.NAME`."""
    columns = {
        "sequence": pa.array(scored.sequences, pa.string()),
        "key": pa.array(scored.keys, pa.string()),
        "reward": pa.array(scored.rewards, pa.float64()),
        "status": pa.array([Status(s).name.lower() for s in scored.status], pa.string()),
        "error": pa.array(scored.errors, pa.string()),
        "source": pa.array(scored.sources, pa.string()),
        "version": pa.array(scored.versions, pa.int32()),
        "actor": pa.array(scored.actors, pa.string()),
        "scored_at": pa.array(
            np.rint(scored.scored_at * 1e6).astype(np.int64), pa.timestamp("us", "UTC")
        ),
        "seconds": pa.array(scored.seconds, pa.float32()),
        "log_prob": pa.array(scored.log_probs, pa.float32()),
        "tokens": _lists(scored.tokens, scored.lengths, pa.int16()),
    }
    if scored.step_rewards is not None:
        columns["step_rewards"] = _lists(scored.step_rewards, scored.lengths, pa.float32())
    columns |= {f"raw.{k}": pa.array(v, pa.float64()) for k, v in scored.raw.items()}
    columns |= {
        f"transformed.{k}": pa.array(v, pa.float64()) for k, v in scored.transformed.items()
    }
    columns |= {
        f"steps.{k}": _lists(v, scored.lengths, pa.float32()) for k, v in scored.step_raw.items()
    }
    return pa.table(columns)


def from_table(table: pa.Table) -> Scored:
    """The inverse of `to_table`."""

    def texts(name: str) -> list[str]:
        return list(table.column(name).to_pylist())

    def numbers(name: str) -> np.ndarray:
        return table.column(name).to_numpy()  # type: ignore[no-any-return]

    def components(prefix: str) -> dict[str, np.ndarray]:
        names = [n for n in table.column_names if n.startswith(prefix)]
        return {n.removeprefix(prefix): numbers(n) for n in names}

    tokens, lengths = _padded(table.column("tokens"), np.int16)

    def by_action(name: str, empty: float) -> np.ndarray:
        return _padded(table.column(name), np.float32, tokens.shape[1], empty)[0]

    steps = [n for n in table.column_names if n.startswith("steps.")]
    has_steps = "step_rewards" in table.column_names
    return Scored(
        tokens=tokens,
        lengths=lengths,
        log_probs=numbers("log_prob"),
        rewards=numbers("reward"),
        step_rewards=by_action("step_rewards", 0.0) if has_steps else None,
        status=np.array([Status[s.upper()] for s in texts("status")], dtype=np.int8),
        versions=numbers("version"),
        scored_at=table.column("scored_at").cast(pa.int64()).to_numpy() / 1e6,
        seconds=numbers("seconds"),
        sequences=texts("sequence"),
        keys=texts("key"),
        errors=texts("error"),
        sources=texts("source"),
        actors=texts("actor"),
        raw=components("raw."),
        transformed=components("transformed."),
        step_raw={n.removeprefix("steps."): by_action(n, np.nan) for n in steps},
    )


def _lists(padded: np.ndarray, lengths: np.ndarray, dtype: pa.DataType) -> pa.ListArray:
    """[B,T] with zeros after the end -> B lists of their own length."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    values = padded[np.arange(padded.shape[1]) < lengths[:, None]]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, dtype))


def _padded(
    column: pa.ChunkedArray, dtype: type, width: int = 1, empty: float = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `_lists`: [B,T], at least `width` wide, and int32 lengths [B]."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int32)
    shape = (len(lengths), int(lengths.max(initial=width)))
    padded: np.ndarray = np.full(shape, empty, dtype=dtype)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = pc.list_flatten(column).to_numpy()
    return padded, lengths
