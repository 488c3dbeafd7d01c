"""Prints tables that are wider than the console where that is a file."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


def print_wide(table: Table, console: Console, width: int) -> None:
    """Print a table. A file gets up to `width` characters in a line, a terminal those it has."""
    before = console.width
    if not console.is_terminal:
        console.width = max(before, width)
    try:
        console.print(table)
    finally:
        if not console.is_terminal:
            console.width = before
