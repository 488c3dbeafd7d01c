"""The arguments of the commands that read or write files beside a run: show, rate and init."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

console = Console(markup=False, emoji=False)  # a [ or :o: in a name is printed as it is


def show(
    run: Annotated[str, typer.Argument(help="A run, or a result of score; a path or URI.")],
    key: Annotated[str, typer.Argument(help="A sequence, as its key or spelled in any way.")],
) -> None:
    """Print all that is on record of one sequence, and what is most like it."""
    from sequence_tutor.distributed.commands.show import show as command

    command(run, key, console)


def rate(
    run: Annotated[str, typer.Argument(help="A run; a path or URI.")],
    n: Annotated[int | None, typer.Option("-n", min=1, help="How many: 10 if not given.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed chooses others.")] = None,
    write: Annotated[
        Path | None, typer.Option(help="Ask nothing, and write a CSV with an empty column mark.")
    ] = None,
    read: Annotated[Path | None, typer.Option(help="Take the marks of such a CSV.")] = None,
    render: Annotated[
        Path | None, typer.Option(help="Directory for pictures and sounds of them.")
    ] = None,
) -> None:
    """Mark what a run has made from 1 to 5, so that the component preference learns your taste."""
    from sequence_tutor.distributed.commands.rate import Wanted
    from sequence_tutor.distributed.commands.rate import rate as command

    command(run, Wanted(n, seed, write, read, render), console)


def init(
    file: Annotated[Path, typer.Argument(help="File to write.")] = Path("run.toml"),
    encoding: Annotated[
        str | None, typer.Option(help="molecules or melodies, or smiles, selfies, melody.")
    ] = None,
    component: Annotated[
        list[str] | None, typer.Option(help="What to optimise; may be given several times.")
    ] = None,
    scores: Annotated[
        int | None, typer.Option(min=1, help="How many may be scored; by default 10,000.")
    ] = None,
    prior: Annotated[
        str | None, typer.Option(help="Where the policy starts, if not from a shipped prior.")
    ] = None,
) -> None:
    """Write a config to start with: asks three questions, unless the options answer them."""
    from sequence_tutor.distributed.commands.init import Answers
    from sequence_tutor.distributed.commands.init import init as command

    command(file, Answers(encoding, tuple(component or ()), scores, prior), console)
