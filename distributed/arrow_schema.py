"""Rows of the record as Arrow tables, the form in which they rest: written and read back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sequence_tutor.distributed.types import Scored
from sequence_tutor.rewards.base import Status

# Beginning of the names of columns with groups.
GROUP = "group."


def to_table(scored: Scored) -> pa.Table:
    """Rows for Parquet. Component values become columns `raw.NAME` and `transformed.NAME`; those by
    action become lists in columns `steps.NAME`; groups become columns `group.KIND`."""
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
        f"steps.{k}": _lists(v, _step_lengths(v, scored.lengths), pa.float32())
        for k, v in scored.step_raw.items()
    }
    columns |= {f"{GROUP}{k}": pa.array(v, pa.string()) for k, v in scored.groups.items()}
    return pa.table(columns)


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """float64 [B], NaN where there is no value; may be written to."""
    return np.array(pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy(), np.float64)


def from_table(table: pa.Table) -> Scored:
    """The inverse of `to_table`."""

    def texts(name: str) -> list[str]:
        return list(table.column(name).to_pylist())

    def values(name: str) -> np.ndarray:
        return table.column(name).to_numpy()  # type: ignore[no-any-return]

    def components(prefix: str) -> dict[str, np.ndarray]:
        names = [n for n in table.column_names if n.startswith(prefix)]
        return {n.removeprefix(prefix): values(n) for n in names}

    tokens, lengths = padded(table.column("tokens"), np.int16)

    def by_action(name: str, empty: float) -> np.ndarray:
        return padded(table.column(name), np.float32, tokens.shape[1], empty)[0]

    steps = [n for n in table.column_names if n.startswith("steps.")]
    has_steps = "step_rewards" in table.column_names
    return Scored(
        tokens=tokens,
        lengths=lengths,
        log_probs=values("log_prob"),
        rewards=values("reward"),
        step_rewards=by_action("step_rewards", 0.0) if has_steps else None,
        status=np.array([Status[s.upper()] for s in texts("status")], dtype=np.int8),
        versions=values("version"),
        scored_at=table.column("scored_at").cast(pa.int64()).to_numpy() / 1e6,
        seconds=values("seconds"),
        sequences=texts("sequence"),
        keys=texts("key"),
        errors=texts("error"),
        sources=texts("source"),
        actors=texts("actor"),
        raw=components("raw."),
        transformed=components("transformed."),
        step_raw={n.removeprefix("steps."): by_action(n, np.nan) for n in steps},
        groups=groups_of(table),
    )


def groups_of(table: pa.Table) -> dict[str, np.ndarray]:
    """By kind: the groups of the rows, objects [B], None where there is none."""
    return {
        name.removeprefix(GROUP): np.array(table.column(name).to_pylist(), object)
        for name in table.column_names
        if name.startswith(GROUP)
    }


def _step_lengths(steps: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """How many values by the step, float32 [B,T], each row has, int [B]: as many as actions. A line
    of a file has no actions and keeps all of its values."""
    return np.where(lengths > 0, lengths, (~np.isnan(steps)).sum(1))


def _lists(rows: np.ndarray, lengths: np.ndarray, dtype: pa.DataType) -> pa.ListArray:
    """[B,T] with zeros after the end -> B lists of their own length."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    values = rows[np.arange(rows.shape[1]) < lengths[:, None]]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, dtype))


def padded(
    column: pa.ChunkedArray, dtype: type, width: int = 1, empty: float = 0
) -> tuple[np.ndarray, np.ndarray]:
    """A column of lists as [B,T], at least `width` wide, and their lengths, int32 [B]."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int32)
    shape = (len(lengths), int(lengths.max(initial=width)))
    values: np.ndarray = np.full(shape, empty, dtype=dtype)
    values[np.arange(values.shape[1]) < lengths[:, None]] = pc.list_flatten(column).to_numpy()
    return values, lengths
