"""The arguments of the commands that read or write files beside a run: show."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

console = Console(markup=False)  # without markup, so that a [ in a name is printed as it is


def show(
    run: Annotated[str, typer.Argument(help="A run, or a result of score; a path or URI.")],
    key: Annotated[str, typer.Argument(help="A sequence, as its key or spelled in any way.")],
) -> None:
    """Print all that is on record of one sequence, and what is most like it."""
    from sequence_tutor.distributed.commands.show import show as command

    command(run, key, console)
