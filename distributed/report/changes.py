"""What the best sequences of a run near a lead have changed of it."""

from __future__ import annotations

import csv
import io

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.types import Scored

# Rows that are printed, and the file of all of them.
SHOWN, CHANGES = 10, "changes.csv"
COLUMNS = ("key", "reward", "lead", "similarity", "change")


def changes_of(run: RunConfig, top: Scored | None) -> list[tuple[str, float, str, float, str]]:
    """Rows of COLUMNS of the best sequences, best first; none for a run without leads."""
    near = None if run.generate is None else run.generate.near
    if near is None or top is None:
        return []
    found = run.domain.changes(near.leads, top.keys)
    return [
        (key, float(reward), one.lead, one.similarity, one.change)
        for key, reward, one in zip(top.keys, top.rewards.tolist(), found, strict=True)
    ]


def changes_csv(rows: list[tuple[str, float, str, float, str]]) -> str:
    """The rows as CSV."""
    text = io.StringIO(newline="")
    out = csv.writer(text)
    out.writerow(COLUMNS)
    for key, reward, lead, similarity, change in rows:
        out.writerow([key, f"{reward:.6g}", lead, f"{similarity:.4f}", change])
    return text.getvalue()


def print_changes(
    rows: list[tuple[str, float, str, float, str]], where: str, console: Console
) -> None:
    """Print the best of those that differ from a lead in one place, and where all rows are."""
    pairs = [row for row in rows if row[-1]]
    table = Table(title=f"what {len(pairs)} of the best {len(rows)} have changed of a lead")
    for name in ("change", "similarity", "reward"):
        table.add_column(name, justify="left" if name == "change" else "right")
    for _, reward, _, similarity, change in pairs[:SHOWN]:
        table.add_row(Text(change), f"{similarity:.2f}", f"{reward:.3f}")
    if pairs:
        console.print(table)
    console.print(f"all changes are in {where}", soft_wrap=True, highlight=False, markup=False)
