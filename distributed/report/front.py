"""The Pareto front of a run, from its record: the rows that no other dominates."""

from __future__ import annotations

import csv
import io

import numpy as np
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.replay.record.store import (
    Part,
    PartStore,
    RecordError,
    record_of,
)
from sequence_tutor.distributed.replay.record.writer import read_rows, readable, scan
from sequence_tutor.distributed.replay.worth.ranks import ParetoRule, pareto_of
from sequence_tutor.distributed.report.wide_table import print_wide
from sequence_tutor.distributed.types import Scored, concatenate
from sequence_tutor.policies.files.storage import Location, Where
from sequence_tutor.rewards.pareto import front

# Rows that are printed, and characters of a sequence.
SHOWN, CHARACTERS = 20, 60
_TRANSFORMED = "transformed."


def front_of(run: RunConfig, out: Location, console: Console) -> Scored | None:
    """The front of a run; None without `reward.aggregate = "pareto"`, without a valid row, and
    where the record can't be read, which is said."""
    rule = pareto_of(run)
    if rule is None:
        return None
    try:
        return read_front(record_of(run.replay, out), run.reward.identity(), rule)
    except RecordError as error:
        console.print(f"no Pareto front: {error}", markup=False, soft_wrap=True)
        return None


def read_front(place: Where, reward_id: str, rule: ParetoRule) -> Scored | None:
    """The valid rows of a record that no other dominates, those with the highest first score first.
    Reads it part by part, holding the front alone; None where no row has its components. Raises
    RecordError where the record can't be read."""
    store = PartStore(place)
    names = {"status", *(_TRANSFORMED + key for key in rule.keys)}
    parts: list[Part] = []
    values = np.zeros((0, 0))
    where = np.zeros((0, 2), np.int64)  # of each row: its part, and its place there
    for part, table, places in scan(store, reward_id=reward_id, wanted=lambda name: name in names):
        with readable(store, part):
            ok = pc.equal(table.column("status"), "ok").to_numpy()
            transformed = {
                name.removeprefix(_TRANSFORMED): table.column(name).to_numpy()
                for name in table.column_names
                if name.startswith(_TRANSFORMED)
            }
            new = rule.values(transformed, len(table))
        kept = np.flatnonzero(ok & np.isfinite(new).all(axis=1))
        own = np.stack([np.full(len(kept), len(parts)), places[kept]], axis=1)
        parts.append(part)
        values = np.concatenate([values.reshape(-1, new.shape[1]), new[kept]])
        where = np.concatenate([where, own])
        best = front(values)
        values, where = values[best], where[best]
    if not len(values):
        return None
    rows = [
        read_rows(store, parts[number], where[where[:, 0] == number, 1])
        for number in np.unique(where[:, 0]).tolist()
    ]
    return concatenate(rows).select(np.lexsort((*-values.T[::-1],)))


def front_csv(rows: Scored) -> str:
    """The front as CSV: key, sequence, reward, what is compared of each component and its raw
    value, and what made it."""
    text = io.StringIO(newline="")
    out = csv.writer(text)
    columns = {f"{_TRANSFORMED}{name}": values for name, values in rows.transformed.items()}
    columns |= {f"raw.{name}": values for name, values in rows.raw.items()}
    out.writerow(["key", "sequence", "reward", *columns, "version", "source"])
    for i, key in enumerate(rows.keys):
        numbers = [rows.rewards[i], *(values[i] for values in columns.values())]
        texts = ["" if np.isnan(number) else f"{number:.6g}" for number in numbers]
        out.writerow([key, rows.sequences[i], *texts, int(rows.versions[i]), rows.sources[i]])
    return text.getvalue()


def print_front(rows: Scored, where: str, console: Console) -> None:
    """Print the front, or SHOWN rows spread over it, and where all of it is."""
    shown = np.unique(np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).round().astype(int))
    title = f"the Pareto front: {len(shown)} of {len(rows)} rows"
    table = Table(title=title)
    table.add_column("sequence", no_wrap=True, max_width=CHARACTERS)
    for name in rows.transformed:
        table.add_column(Text(name), justify="right")
    for i in shown.tolist():
        numbers = [values[i] for values in rows.transformed.values()]
        cells = ["-" if np.isnan(number) else f"{number:.3f}" for number in numbers]
        # as it is: brackets of a SMILES would be read as markup
        table.add_row(Text(rows.sequences[i][:CHARACTERS]), *cells)
    print_wide(table, console, CHARACTERS + 8 + 16 * len(rows.transformed))
    console.print(f"all of it is in {where}", soft_wrap=True, highlight=False, markup=False)
