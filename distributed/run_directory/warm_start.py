"""Sequences with known rewards as rows of the replay, for the start of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from sequence_tutor.distributed.replay.messages import WARM_START
from sequence_tutor.distributed.replay.record.store import Part, PartStore, RecordError
from sequence_tutor.distributed.types import Scored
from sequence_tutor.policies.encodings.base import Encoding, pad
from sequence_tutor.policies.files.corpus import Corpus, CorpusError
from sequence_tutor.policies.files.file_format import PLACES, format_of
from sequence_tutor.policies.files.storage import Location, Where
from sequence_tutor.policies.files.table_reader import read_rows, sequence_of, text_of, usual_column
from sequence_tutor.rewards.base import Domain, Status

# Usual names of the column of rewards.
REWARDS = ("reward", "score")
# Statuses of rows that have a reward.
JUDGED = ("ok", "invalid")
# How many sequences a remark shows.
SHOWN = 3
# For errors about a file without rewards.
ADVICE = "score it first: sequence-tutor score CONFIG FILE"


@dataclass(frozen=True)
class WarmStart:
    """Sequences with rewards, and how to read them."""

    where: Where
    """The table, or the directory of a run or of its record."""
    column: str | None = None
    """Column of the sequences; None for a usual name."""
    reward_column: str | None = None
    """Column of the rewards; None for a usual name."""
    lower_is_better: bool = False
    """Whether values are costs or energies, whose sign is changed."""

    @classmethod
    def of(cls, given: WarmStart | Where) -> WarmStart:
        return given if isinstance(given, WarmStart) else cls(given)


def read_scored(
    where: Where,
    column: str | None = None,
    reward_column: str | None = None,
    lower_is_better: bool = False,
) -> tuple[list[str], np.ndarray, list[str]]:
    """Sequences, their finite rewards float64 [B], and remarks for the user.

    From a table (CSV, Parquet, Excel, SDF, or a text file with a named column) or from the record
    of a run: its directory or the scores/ in it. Sequences are in `column`, or in a column with a
    usual name; rewards in `reward_column`, or in "reward" or "score". Rows without a sequence or a
    reward, and rows whose "status" is neither ok nor invalid, are left out. Raises CorpusError for
    a file or directory without a usable row.
    """
    path = Location(where)
    corpus, rewards = Corpus(path), []
    wanted = column, reward_column
    rows = _recorded(path, wanted) if path.is_dir() else _tabled(path, wanted)
    for place, sequence, value, status in rows:
        text, reward = sequence_of(sequence), _number(value)
        if reason := _reason(text, value, reward, status):
            corpus.add_broken(f"{place}: {text[:60]!r}", reason)
        else:
            corpus.sequences.append(text)
            rewards.append(-reward if lower_is_better else reward)
    if not rewards:
        left_out = f" {corpus.complaints()}" if corpus.broken_count else ""
        raise CorpusError(f"{path} has no sequence with a reward; {ADVICE}.{left_out}")
    return corpus.sequences, np.array(rewards, dtype=np.float64), corpus.remarks()


@dataclass
class _Known:
    """What is known of one key."""

    sequence: str
    """A spelling."""
    tokens: np.ndarray
    """int16 [T] actions of the spelling, empty where none can be learned."""
    why: str
    """Why no spelling can be learned, empty where one can."""
    rewards: list[float] = field(default_factory=list)
    """The rewards of all spellings."""

    @property
    def differs(self) -> bool:
        return not np.allclose(self.rewards, self.rewards[0], rtol=1e-9, atol=0.0)


def to_scored(
    sequences: Sequence[str],
    rewards: np.ndarray,
    encoding: Encoding,
    domain: Domain,
    now: float,
) -> tuple[Scored, list[str]]:
    """Rows for the replay, one per key of a valid sequence, and remarks for the user.

    rewards float64 [B], finite; `now` in Unix seconds. The reward of a key is the mean over its
    spellings. Its row has the first spelling that the encoding can express, the canonical form
    included. A key without one has a row without actions: it isn't scored again, and isn't learned
    from. There may be no row at all.
    """
    known_of: dict[str, _Known] = {}
    invalid: list[str] = []
    repeated: list[str] = []
    for sequence, reward in zip(sequences, rewards.tolist(), strict=True):
        key = domain.key(sequence)
        if key is None:
            invalid.append(sequence)
            continue
        known = known_of.get(key)
        if known is None:
            known = known_of[key] = _Known(*spelled(encoding, sequence, key))
        else:
            repeated.append(sequence)
            if known.why:
                tokens, why = _actions(encoding, sequence)
                if not why:
                    known.sequence, known.tokens, known.why = sequence, tokens, ""
        known.rewards.append(reward)
    tokens, lengths = pad([known.tokens for known in known_of.values()])
    n = len(known_of)
    scored = Scored(
        tokens=tokens,
        lengths=lengths,
        log_probs=np.full(n, np.nan, dtype=np.float32),
        rewards=np.array([np.mean(known.rewards) for known in known_of.values()], dtype=np.float64),
        step_rewards=None,
        status=np.full(n, Status.OK, dtype=np.int8),
        versions=np.full(n, -1, dtype=np.int32),
        scored_at=np.full(n, now),
        seconds=np.zeros(n, dtype=np.float32),
        sequences=[known.sequence for known in known_of.values()],
        keys=list(known_of),
        errors=[""] * n,
        sources=[WARM_START] * n,
        actors=[""] * n,
        raw={},
        transformed={},
    )
    return scored, _remarks(len(sequences), list(known_of.values()), invalid, repeated)


def spelled(encoding: Encoding, sequence: str, key: str) -> tuple[str, np.ndarray, str]:
    """The sequence or, where only that can be expressed, its key; its actions, int16 [T]; and "".
    Where neither can be expressed no actions, and why."""
    tokens, why = _actions(encoding, sequence)
    if why:
        canonical, lacking = _actions(encoding, key)
        return (sequence, tokens[:0], lacking) if lacking else (key, canonical, "")
    return sequence, tokens, ""


def _remarks(total: int, found: list[_Known], invalid: list[str], repeated: list[str]) -> list[str]:
    def some(count: int, what: str, examples: Iterable[str]) -> str:
        shown = ", ".join(examples)
        return f"{count} of {total} scored sequences {what}, such as {shown}"

    remarks = []
    if invalid:
        remarks.append(some(len(invalid), "left out (not valid)", _shown(invalid)))
    if repeated:
        remarks.append(some(len(repeated), "are the same as an earlier one", _shown(repeated)))
    differing = [known for known in found if known.differs]
    if differing:
        worst = max(differing, key=lambda known: max(known.rewards) - min(known.rewards))
        remarks.append(
            f"{len(differing)} of {len(found)} different sequences come with more than one "
            f"reward; the mean is taken. They differ most for {worst.sequence[:60]!r}: "
            f"{min(worst.rewards):g} to {max(worst.rewards):g}"
        )
    by_reason: dict[str, list[str]] = {}
    for known in found:
        if known.why:
            by_reason.setdefault(known.why, []).append(known.sequence)
    for why, sequences in by_reason.items():
        what = f"can't be learned from ({why}), but aren't scored again"
        remarks.append(some(len(sequences), what, _shown(sequences)))
    return remarks


def _shown(sequences: list[str]) -> list[str]:
    return [repr(sequence[:60]) for sequence in sequences[:SHOWN]]


# Names of the columns of sequences and rewards, None for usual ones.
Wanted = tuple[str | None, str | None]
# The place of a row for messages, its sequence, its reward, and its status or None.
Row = tuple[str, Any, Any, Any]


def _tabled(path: Location, wanted: Wanted) -> Iterator[Row]:
    asked = next((name for name in wanted if name is not None), None)
    kind = format_of(path, asked).kind
    if kind == "text":
        raise CorpusError(f"{path} has no rewards, being neither CSV nor Parquet; {ADVICE}")

    def pick(names: list[str]) -> list[str]:
        return _columns(path, names, wanted)

    for number, (sequence, reward, *status) in read_rows(path, pick, asked):
        yield f"{PLACES[kind]} {number}", sequence, reward, status[0] if status else None


def _recorded(path: Location, wanted: Wanted) -> Iterator[Row]:
    directory = path / "scores" if (path / "scores").is_dir() else path
    try:
        store = PartStore(directory)
        parts = store.parts()
        needed = {"sequence", "reward", "status", *wanted}
        for part in parts:
            table = store.read(part, lambda name: name in needed)
            yield from _part_rows(store, part, table, wanted)
    except RecordError as error:
        raise CorpusError(str(error)) from error
    if not parts:
        raise CorpusError(f"{path} is neither a run nor its record: it has no part-*.parquet")


def _part_rows(store: PartStore, part: Part, table: pa.Table, wanted: Wanted) -> Iterator[Row]:
    names = _columns(store.path(part), table.column_names, wanted)
    columns = [table.column(name).to_pylist() for name in names]
    for number, (sequence, reward, *status) in enumerate(zip(*columns, strict=True), 1):
        yield f"{part.name} row {number}", sequence, reward, status[0] if status else None


def _columns(path: Location | str, names: list[str], wanted: Wanted) -> list[str]:
    """Names of the columns of sequence, reward and, if there is one, status. Raises CorpusError."""
    has = f"it has: {', '.join(names)}"
    column, reward_column = wanted
    sequence = usual_column(names) if column is None else _named(names, column)
    if sequence is None:
        raise CorpusError(f"{path} has no column {column or 'sequence'!r}; {has}")
    known = {name.strip().lower(): name for name in reversed(names)}
    if reward_column is not None:
        reward = _named(names, reward_column)
        if reward is None:
            raise CorpusError(f"{path} has no column {reward_column!r}; {has}")
    else:
        reward = next((known[name] for name in REWARDS if name in known), None)
    if reward is None:
        raise CorpusError(
            f"{path} has no column 'reward' or 'score'; {has}; choose one with --reward-column, or "
            f"rename one, or {ADVICE}"
        )
    return [sequence, reward, *([known["status"]] if "status" in known else [])]


def _named(names: list[str], wanted: str) -> str | None:
    return next((name for name in names if wanted in (name, name.strip())), None)


def _number(value: object) -> float:
    """The value as a number, NaN where it isn't one."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def _reason(text: str, value: object, reward: float, status: object) -> str:
    """Why a row can't be used, empty where it can be."""
    if status is not None and text_of(status).lower() not in JUDGED:
        return f"status is {text_of(status)!r}"
    if not text:
        return "no sequence"
    if text_of(value) == "":
        return "no reward"
    return "" if math.isfinite(reward) else f"its reward is {text_of(value)[:60]!r}"


def _actions(encoding: Encoding, sequence: str) -> tuple[np.ndarray, str]:
    """int16 [T] actions of a sequence, and why they are no episode, empty where they are one."""
    try:
        tokens = encoding.encode(sequence)
    except ValueError:
        return np.empty(0, dtype=np.int16), "the prior's vocabulary can't express it"
    longest = encoding.max_length
    if len(tokens) > longest:
        return tokens, f"longer than {longest} tokens"
    if encoding.vocabulary.end_id is None and len(tokens) != longest:
        return tokens, f"not {longest} tokens long, as all must be"
    return tokens, ""
