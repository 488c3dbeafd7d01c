"""The calls of a reward, by its notes on each machine, and the rows on record."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from machines import Machine
from records import rows_on_record
from slow_reward import NOTES

from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.domains import domain_of


class Call(NamedTuple):
    """One call of the reward that ended: when, where, and for which molecule."""

    at: float
    machine: str
    key: str


def calls(machines: Iterable[Machine], since: float = 0.0) -> list[Call]:
    """All calls, in the order of their ends."""
    key = domain_of("smiles").key
    found = []
    for machine in machines:
        notes = machine.on_disk(NOTES)
        for line in notes.read_text().splitlines() if notes.is_file() else []:
            at, smiles = line.split(" ", 1)
            if float(at) >= since:
                found.append(Call(float(at), machine.name, key(smiles) or smiles))
    return sorted(found)


def recorded(out: Path) -> dict[str, float]:
    """The time of scoring by key, of all valid molecules on record."""
    rows = rows_on_record(out / "scores")
    return {
        key: float(at)
        for key, at, status in zip(rows.keys, rows.scored_at, rows.status, strict=True)
        if status != Status.INVALID
    }
