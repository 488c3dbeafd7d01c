"""What `sequence-tutor components` prints: the components of rewards, and the transforms."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from sequence_tutor.rewards.described import (
    Description,
    described_components,
    described_transforms,
)
from sequence_tutor.rewards.registry import unknown


def print_components(name: str | None, domain: str, console: Console) -> None:
    """All components of a domain and all transforms, or everything about the one of that name.
    Raises ValueError for an unknown name or domain."""
    found, transforms = described_components(domain), described_transforms()
    if name is None:
        _print_table(f"components of {domain}", found, console)
        _print_table("transforms", transforms, console)
        return
    by_name = {one.name: one for one in (*transforms, *found)}
    if name not in by_name:
        raise ValueError(unknown("component or transform", name, by_name))
    _print_one(by_name[name], console)


def _print_table(title: str, found: list[Description], console: Console) -> None:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    for column in ("value", "range", "time", "options"):
        table.add_column(column, overflow="fold")
    for one in found:
        options = ", ".join(option.short for option in one.options)
        table.add_row(one.name, one.value, one.range, one.cost, options)
    console.print(table)


def _print_one(one: Description, console: Console) -> None:
    lines = [
        ("value", f"{one.value} {one.more}".strip()),
        ("range", one.range),
        ("time", one.cost),
        ("reference", one.reference),
        ("example", one.example),
    ]
    console.print(one.name)
    for key, text in lines:
        if text:
            console.print(f"  {key}: {text}", soft_wrap=True)
    for option in one.options:
        console.print(f"  option {option.short}: {option.meaning}".rstrip(": "), soft_wrap=True)
