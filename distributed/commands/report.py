"""The commands `report` and `compare`, and the page that `optimize --report` keeps up to date."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console
from rich.table import Table

from sequence_tutor.distributed.commands.plain_print import print_plainly
from sequence_tutor.distributed.config_file import ConfigError
from sequence_tutor.distributed.report.page.beside import Beside, read_beside
from sequence_tutor.distributed.report.page.content import Run, comparison_content
from sequence_tutor.distributed.report.page.page import html_of, page_of
from sequence_tutor.distributed.report.page.rows import run_parts
from sequence_tutor.policies.files.storage import Location, Where

# The page in a run directory.
REPORT = "report.html"
# Least seconds between two pages during a run, and the share of the time that making them may take.
LIVE_EVERY_S, LIVE_SHARE = 20.0, 0.05


def write_report(
    where: Where, out: Where | None, against: Where | None, console: Console
) -> Location:
    """Write the page about a run, by default into its directory. Raises ConfigError where there is
    no run, or nothing is on record yet; ValueError for a file to compare with that is no use."""
    run = run_at(where)
    file = Location(where) / REPORT if out is None else Location(out)
    page = page_of(run, read_beside(run.parts[-1].config, against))
    file.write(page)
    print_plainly(console, f"{file} ({len(page) / 1e6:.1f} MB): open it in a browser")
    return file


def run_at(where: Where) -> Run:
    """A run, or a run in stages. Raises ConfigError."""
    return Run(_name(Location(where)), run_parts(where))


def _name(place: Location) -> str:
    """The name of a run's directory, also of "."."""
    return place.path.resolve().name if place.is_local else place.name


def compare_runs(
    places: Sequence[Where], out: Where, against: Where | None, console: Console
) -> None:
    """Write the page about several runs side by side, and print their numbers. Raises as
    `write_report`."""
    if len(places) < 2:
        raise ValueError("compare needs two runs or more")
    runs = [run_at(place) for place in places]
    names = distinct([run.name for run in runs])
    runs = [Run(name, run.parts) for name, run in zip(names, runs, strict=True)]
    beside = read_beside(runs[0].parts[-1].config, against, samples=False)
    content = comparison_content(runs, beside)
    _print_numbers(content["compared"], console)
    page = html_of(content)
    Location(out).write(page)
    print_plainly(console, f"{out} ({len(page) / 1e6:.1f} MB): open it in a browser")


def distinct(names: Sequence[str]) -> list[str]:
    """The names, with a number behind those that came before."""
    found: list[str] = []
    for name in names:
        number = sum(one == name or one.startswith(f"{name} (") for one in found)
        found.append(f"{name} ({number + 1})" if number else name)
    return found


def _print_numbers(compared: dict[str, Any], console: Console) -> None:
    table = Table()
    table.add_column("")
    for group, size in zip(compared["groups"], compared["sizes"], strict=True):
        title = group if size == 1 else f"{group}, {size} seeds"
        table.add_column(title, justify="right", overflow="fold")
    for line in compared["table"]:
        cells = []
        for value in line["values"]:
            spread = "" if value["spread"] is None else f" ± {value['spread']:.3g}"
            cells.append("-" if value["mean"] is None else f"{value['mean']:.4g}{spread}")
        table.add_row(line["name"], *cells)
    console.print(table, markup=False)
    print_plainly(console, f"{compared['shared']['count']:,} sequences are in more than one run")


@contextmanager
def kept_report(where: Location, console: Console) -> Iterator[None]:
    """Keep RUN/report.html up to date in another process, which ends with this one, and write it
    once more at the end."""
    keeper = subprocess.Popen(
        [sys.executable, "-m", "sequence_tutor.distributed.commands.report", str(where)],
        stdin=subprocess.PIPE,  # closes when this process ends, however it ends
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        assert keeper.stdin is not None
        keeper.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            keeper.wait(10)
        keeper.kill()
        try:
            write_report(where, None, None, console)
        except (ValueError, OSError) as error:
            print_plainly(console, f"no report: {error}")


def _keep(where: str) -> None:
    """Write the page again and again until standard input closes."""
    import select

    beside: Beside | None = None
    wait_s = LIVE_EVERY_S
    while True:
        ended, _, _ = select.select([sys.stdin], [], [], wait_s)
        if ended:
            return
        began = time.monotonic()
        # a run that has just begun has nothing on record, and storage may fail for a while
        with suppress(ConfigError, OSError):
            run = run_at(where)
            beside = beside or read_beside(run.parts[-1].config, None)
            (Location(where) / REPORT).write(page_of(run, beside))
        wait_s = max(LIVE_EVERY_S, (time.monotonic() - began) / LIVE_SHARE)


if __name__ == "__main__":
    _keep(sys.argv[1])
