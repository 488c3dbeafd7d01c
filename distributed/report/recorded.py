"""Mean rewards of a run from its record, without new scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sequence_tutor.distributed.replay.messages import FREE_SOURCES
from sequence_tutor.distributed.replay.record.store import PartStore
from sequence_tutor.distributed.replay.record.writer import readable, scan
from sequence_tutor.distributed.report.evaluation import Columns
from sequence_tutor.policies.files.storage import Where
from sequence_tutor.rewards.table_rows import RAW_MEANS, TableRows

# Rows at the start and at the end of a run, and best rows, whose means are reported.
ENDS, BEST = 1000, 100
_NEEDED = ("reward", "status", "source", "scored_at", "seconds")
_RAW = "raw."


@dataclass(frozen=True)
class Recorded:
    """Mean rewards on record."""

    columns: Columns
    """Means of the reward, and of each component where there are several, over the first and the
    last sequences that a run scored, and over the best."""
    seconds_per_score: float
    """Mean seconds of a score, NaN where there is none."""


def read_rewards(place: Where, reward_id: str, shown: TableRows = RAW_MEANS) -> Recorded:
    """Read a record part by part, holding at most ENDS rows of each end and BEST rows. Means are
    over valid rows that count against the budget, by the time of their scores; each end is at most
    half of them. shown: how components are. Raises RecordError where the record can't be read."""
    store = PartStore(place)
    by_time = [("scored_at", "ascending"), ("row", "ascending")]
    from_end = [("scored_at", "descending"), ("row", "descending")]
    kinds = ((by_time, ENDS), (from_end, ENDS), ([("reward", "descending")], BEST))
    kept: list[pa.Table | None] = [None] * len(kinds)
    rows = scores = 0
    seconds = 0.0
    for part, table, _ in scan(store, reward_id=reward_id, wanted=_is_needed):
        with readable(store, part):
            paid = pc.invert(pc.is_in(table.column("source"), pa.array(FREE_SOURCES)))
            judged = table.filter(pc.and_(paid, pc.not_equal(table.column("status"), "invalid")))
            scores += len(judged)
            seconds += float(np.nansum(judged.column("seconds").to_numpy()))
            valid = judged.filter(pc.equal(judged.column("status"), "ok"))
            names = [n for n in valid.column_names if n.startswith(_RAW)]
            valid = valid.select(["reward", "scored_at", *names])
            number = pa.array(np.arange(rows, rows + len(valid)))
            valid = valid.append_column("row", number)
            rows += len(valid)
            kept = [_first(k, valid, *kind) for k, kind in zip(kept, kinds, strict=True)]
    columns: dict[str, dict[str, float]] = {}
    if rows:
        end = min(ENDS, max(1, rows // 2))
        titles = (f"first {end:,} scored", f"last {end:,} scored", f"best {min(BEST, rows):,}")
        for title, found, n in zip(titles, kept, (end, end, BEST), strict=True):
            assert found is not None
            columns[title] = _means(found.slice(0, n), shown)
    return Recorded(columns, seconds / scores if scores else float("nan"))


def _is_needed(name: str) -> bool:
    return name in _NEEDED or name.startswith(_RAW)


def _first(kept: pa.Table | None, new: pa.Table, order: list[tuple[str, str]], n: int) -> pa.Table:
    """The first n rows, in this order, of both tables; a component that one lacks is null there."""
    both = new if kept is None else pa.concat_tables([kept, new], promote_options="default")
    return both.take(pc.sort_indices(both, sort_keys=order)[:n]).combine_chunks()


def _means(rows: pa.Table, shown: TableRows) -> dict[str, float]:
    names = [name for name in rows.column_names if name.startswith(_RAW)]
    raw = {name.removeprefix(_RAW): rows.column(name).to_numpy() for name in names}
    return shown.means(rows.column("reward").to_numpy(), raw)
