"""How the commands print a sentence."""

from __future__ import annotations

from rich.console import Console


def print_plainly(console: Console, text: str) -> None:
    """Print a text without line breaks, colours or markup."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
