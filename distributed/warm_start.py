"""Sequences that somebody scored already, as rows of the replay: what a run may begin with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from sequence_tutor.distributed.replay.answers import WARM_START
from sequence_tutor.distributed.replay.store import Part, PartStore, RecordError
from sequence_tutor.distributed.types import Scored
from sequence_tutor.policies.corpus import Corpus, CorpusError
from sequence_tutor.policies.encoding import Encoding, pad
from sequence_tutor.policies.rows import kind_of, read_rows, text_of, usual_column
from sequence_tutor.policies.storage import Location, Where
from sequence_tutor.rewards.base import Domain, Status

REWARDS = ("reward", "score")
# Statuses of rows that have a reward.
JUDGED = ("ok", "invalid")
# Left-out sequences that a remark shows.
SHOWN = 3

ADVICE = "score it first: sequence-tutor score CONFIG FILE"


def read_scored(where: Where, column: str | None = None) -> tuple[list[str], np.ndarray, list[str]]:
    """Sequences, float64 [B] finite rewards, and what people should know of the reading.

    From a CSV (.csv, .csv.gz), a Parquet file, or the record of a run: its directory or the
    scores/ in it. Sequences are in `column`, or in one of a usual name; rewards in "reward" or
    "score". Rows without either, and those whose "status" says that they have none, are left out.
    Raises CorpusError for a file or directory that has nothing to use.
    """
    path = Location(where)
    corpus, rewards = Corpus(path), []
    rows = _recorded(path) if path.is_dir() else _tabled(path, column)
    for place, sequence, value, status in rows:
        text, reward = text_of(sequence), _number(value)
        if reason := _reason(text, value, reward, status):
            corpus.add_broken(f"{place}: {text[:60]!r}", reason)
        else:
            corpus.sequences.append(text)
            rewards.append(reward)
    if not rewards:
        left_out = f" {corpus.complaints()}" if corpus.broken_count else ""
        raise CorpusError(f"{path} has no sequence with a reward; {ADVICE}.{left_out}")
    return corpus.sequences, np.array(rewards, dtype=np.float64), corpus.remarks()


def to_scored(
    sequences: Sequence[str],
    rewards: np.ndarray,
    encoding: Encoding,
    domain: Domain,
    now: float,
) -> tuple[Scored, list[str]]:
    """Rows for the replay, and remarks on the sequences that can't be such.

    rewards float64 [B], finite; `now` in Unix seconds. What the encoding can't express or isn't
    valid is left out, and of several spellings of the same thing all but the first. There may be
    no row left.
    """
    rows: dict[str, int] = {}
    encoded: list[np.ndarray] = []
    left_out: dict[str, list[str]] = {}
    for i, sequence in enumerate(sequences):
        tokens, why = _actions(encoding, sequence)
        key = None if why else domain.key(sequence)
        if not why and key is None:
            why = "not valid"
        elif key in rows:
            why = "the same as an earlier one"
        if why:
            left_out.setdefault(why, []).append(sequence)
        elif key is not None:
            rows[key] = i
            encoded.append(tokens)
    tokens, lengths = pad(encoded)
    n = len(rows)
    scored = Scored(
        tokens=tokens,
        lengths=lengths,
        log_probs=np.full(n, np.nan, dtype=np.float32),
        rewards=np.asarray(rewards, dtype=np.float64)[list(rows.values())],
        step_rewards=None,
        status=np.full(n, Status.OK, dtype=np.int8),
        versions=np.full(n, -1, dtype=np.int32),
        scored_at=np.full(n, now),
        seconds=np.zeros(n, dtype=np.float32),
        sequences=[sequences[i] for i in rows.values()],
        keys=list(rows),
        errors=[""] * n,
        sources=[WARM_START] * n,
        actors=[""] * n,
        raw={},
        transformed={},
    )
    return scored, [_remark(why, those, len(sequences)) for why, those in left_out.items()]


Row = tuple[str, Any, Any, Any]  # where it is, its sequence, its reward, its status or None


def _tabled(path: Location, column: str | None) -> Iterator[Row]:
    if path.is_file() and kind_of(path) == "text":
        raise CorpusError(f"{path} has no rewards, being neither CSV nor Parquet; {ADVICE}")

    def pick(names: list[str]) -> list[str]:
        return _columns(path, names, column)

    for number, (sequence, reward, *status) in read_rows(path, pick):
        yield f"line {number}", sequence, reward, status[0] if status else None


def _recorded(path: Location) -> Iterator[Row]:
    directory = path / "scores" if (path / "scores").is_dir() else path
    try:
        store = PartStore(directory)
        parts = store.parts()
        for part in parts:
            table = store.read(part, lambda name: name in ("sequence", "reward", "status"))
            yield from _part_rows(store, part, table)
    except RecordError as error:
        raise CorpusError(str(error)) from error
    if not parts:
        raise CorpusError(f"{path} is neither a run nor its record: it has no part-*.parquet")


def _part_rows(store: PartStore, part: Part, table: pa.Table) -> Iterator[Row]:
    names = _columns(store.path(part), table.column_names, None)
    columns = [table.column(name).to_pylist() for name in names]
    for number, (sequence, reward, *status) in enumerate(zip(*columns, strict=True), 1):
        yield f"{part.name} row {number}", sequence, reward, status[0] if status else None


def _columns(path: Location | str, names: list[str], column: str | None) -> list[str]:
    """Those of sequence, reward and, where there is one, status. Raises CorpusError."""
    has = f"it has: {', '.join(names)}"
    sequence = column if column is not None else usual_column(names)
    if sequence not in names:
        raise CorpusError(f"{path} has no column {column or 'sequence'!r}; {has}")
    known = {name.strip().lower(): name for name in reversed(names)}
    reward = next((known[name] for name in REWARDS if name in known), None)
    if reward is None:
        raise CorpusError(
            f"{path} has no column 'reward' or 'score'; {has}; rename one, or {ADVICE}"
        )
    return [sequence, reward, *([known["status"]] if "status" in known else [])]


def _number(value: object) -> float:
    """NaN for what isn't one."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def _reason(text: str, value: object, reward: float, status: object) -> str:
    """Why a row can't be used, empty where it can."""
    if status is not None and text_of(status).lower() not in JUDGED:
        return f"status is {text_of(status)!r}"
    if not text:
        return "no sequence"
    if text_of(value) == "":
        return "no reward"
    return "" if math.isfinite(reward) else f"its reward is {text_of(value)[:60]!r}"


def _actions(encoding: Encoding, sequence: str) -> tuple[np.ndarray, str]:
    """int16 [T] actions of a whole episode, and why it can't be one, empty where it can."""
    try:
        tokens = encoding.encode(sequence)
    except ValueError:
        return np.empty(0, dtype=np.int16), "the prior has no words for it"
    longest = encoding.max_length
    if len(tokens) > longest:
        return tokens, f"longer than {longest} tokens"
    if encoding.vocabulary.end_id is None and len(tokens) != longest:
        return tokens, f"not {longest} tokens long, as all must be"
    return tokens, ""


def _remark(why: str, sequences: list[str], total: int) -> str:
    shown = ", ".join(repr(s[:60]) for s in sequences[:SHOWN])
    return f"{len(sequences)} of {total} scored sequences left out ({why}), such as {shown}"
