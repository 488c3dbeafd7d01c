"""The carriers that travel between processes, and the schema they rest in.

NumPy in flight, Arrow at rest. A row of the record is one scored sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pyarrow as pa

from sequence_tutor.policies.sampler import Episodes
from sequence_tutor.rewards.base import Status


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


@dataclass(frozen=True)
class Scored:
    """B scored sequences as columns, the content of the replay.

    tokens int16 [B,T] (zeros after the end), lengths int32 [B], log_probs float32 [B] (behaviour,
    nats), rewards float64 [B], step_rewards float32 [B,T] or None, status int8 [B] of `Status`,
    versions int32 [B], scored_at float64 [B] (Unix seconds), seconds float32 [B] spent scoring,
    raw and transformed component values float64 [B]. The rest are texts.
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

    def __len__(self) -> int:
        return len(self.keys)

    def select(self, rows: Sequence[int] | np.ndarray) -> Scored:
        """The given rows, in that order."""
        changes = {}
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


def concatenate(batches: Sequence[Scored]) -> Scored:
    """One batch of many; all must come from the same reward (the same components)."""
    longest = max(b.tokens.shape[1] for b in batches)
    columns: dict[str, object] = {}
    for f in fields(Scored):
        values = [getattr(b, f.name) for b in batches]
        if f.name == "tokens" or (f.name == "step_rewards" and values[0] is not None):
            columns[f.name] = np.concatenate(
                [np.pad(v, ((0, 0), (0, longest - v.shape[1]))) for v in values]
            )
        elif isinstance(values[0], np.ndarray):
            columns[f.name] = np.concatenate(values)
        elif isinstance(values[0], list):
            columns[f.name] = [x for v in values for x in v]
        elif isinstance(values[0], dict):
            columns[f.name] = {k: np.concatenate([v[k] for v in values]) for k in values[0]}
        else:
            columns[f.name] = None
    return Scored(**columns)  # type: ignore[arg-type]


def to_table(scored: Scored) -> pa.Table:
    """Rows for Parquet. Component values become columns `raw.NAME` and `transformed.NAME`."""
    tokens = [row[:n] for row, n in zip(scored.tokens, scored.lengths, strict=True)]
    columns = {
        "sequence": pa.array(scored.sequences, pa.string()),
        "key": pa.array(scored.keys, pa.string()),
        "reward": pa.array(scored.rewards, pa.float64()),
        "status": pa.array([Status(s).name.lower() for s in scored.status], pa.string()),
        "error": pa.array(scored.errors, pa.string()),
        "source": pa.array(scored.sources, pa.string()),
        "version": pa.array(scored.versions, pa.int32()),
        "actor": pa.array(scored.actors, pa.string()),
        "scored_at": pa.array((scored.scored_at * 1e6).astype("int64"), pa.timestamp("us", "UTC")),
        "seconds": pa.array(scored.seconds, pa.float32()),
        "log_prob": pa.array(scored.log_probs, pa.float32()),
        "tokens": pa.array(tokens, pa.list_(pa.int16())),
    }
    if scored.step_rewards is not None:
        steps = [row[:n] for row, n in zip(scored.step_rewards, scored.lengths, strict=True)]
        columns["step_rewards"] = pa.array(steps, pa.list_(pa.float32()))
    columns |= {f"raw.{k}": pa.array(v, pa.float64()) for k, v in scored.raw.items()}
    columns |= {
        f"transformed.{k}": pa.array(v, pa.float64()) for k, v in scored.transformed.items()
    }
    return pa.table(columns)


def from_table(table: pa.Table) -> Scored:
    """The inverse of `to_table`."""

    def texts(name: str) -> list[str]:
        return list(table.column(name).to_pylist())

    def numbers(name: str) -> np.ndarray:
        return table.column(name).to_numpy()  # type: ignore[no-any-return]

    def ragged(name: str, dtype: type) -> np.ndarray:
        rows = table.column(name).to_pylist()
        out = np.zeros((len(rows), max(map(len, rows), default=1)), dtype=dtype)
        for target, row in zip(out, rows, strict=True):
            target[: len(row)] = row
        return out

    def components(prefix: str) -> dict[str, np.ndarray]:
        names = [n for n in table.column_names if n.startswith(prefix)]
        return {n.removeprefix(prefix): numbers(n) for n in names}

    tokens = ragged("tokens", np.int16)
    has_steps = "step_rewards" in table.column_names
    return Scored(
        tokens=tokens,
        lengths=np.array([len(r) for r in table.column("tokens").to_pylist()], dtype=np.int32),
        log_probs=numbers("log_prob"),
        rewards=numbers("reward"),
        step_rewards=ragged("step_rewards", np.float32) if has_steps else None,
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
    )
