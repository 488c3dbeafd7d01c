"""The commands that show runs to people: report, watch, compare. Imports a command's modules only
when it runs."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

RunArgument = Annotated[str, typer.Argument(help="A run's directory, a path or URI.")]
AgainstOption = Annotated[
    str | None,
    typer.Option(help="File of sequences to compare with, if not what the prior brings."),
]
console = Console(markup=False, emoji=False)


def report(
    run: RunArgument,
    out: Annotated[
        str | None, typer.Option(help="File to write, by default report.html in the run.")
    ] = None,
    against: AgainstOption = None,
) -> None:
    """Write one HTML file about a run: curves, drawings, tables; it needs no network."""
    from sequence_tutor.distributed.commands.report import write_report

    write_report(run, out, against, console)


def watch(
    run: RunArgument,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8642,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on; beyond this machine the URL has a token."),
    ] = "127.0.0.1",
    against: AgainstOption = None,
) -> None:
    """Serve the page about a run with its newest data, on this machine."""
    from sequence_tutor.distributed.commands.watch import watch_run

    watch_run(run, host, port, against, console)


def compare(
    runs: Annotated[list[str], typer.Argument(help="Two directories of runs, or more.")],
    out: Annotated[str, typer.Option(help="File to write.")] = "comparison.html",
    against: AgainstOption = None,
) -> None:
    """Put runs side by side: a table, and one HTML file with all of them."""
    from sequence_tutor.distributed.commands.report import compare_runs

    compare_runs(runs, out, against, console)
