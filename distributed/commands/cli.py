"""The command line: sequence-tutor pretrain | convert | optimize | score | sample | evaluate |
report | watch | compare | show | rate | init | components.

It parses arguments and imports a command's modules only when that command runs.
"""

from __future__ import annotations

import io
import os
import shlex
import sys
from contextlib import nullcontext
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sequence_tutor.distributed.commands import cli_pretrain, cli_records, cli_report
from sequence_tutor.distributed.commands.cli_pretrain import ColumnOption, EncodingOption
from sequence_tutor.distributed.stop_signal import RunError
from sequence_tutor.policies.files.storage import Location

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
console = Console(markup=False, emoji=False)  # a [ or :o: in a name is printed as it is

PriorArgument = Annotated[
    str, typer.Argument(help="A shipped prior, a prior's directory or a run; a path or URI.")
]
SeedOption = Annotated[int | None, typer.Option(help="The same seed gives the same sequences.")]
LocalOption = Annotated[
    bool, typer.Option(help="In this process, without Ray: slower, and a debugger works in it.")
]
RetryOption = Annotated[bool, typer.Option(help="With --resume: try again what failed.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"sequence-tutor {version('sequence-tutor')}")
        raise typer.Exit


@app.callback()
def common(
    show_version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_print_version),
    ] = False,
) -> None:
    """Fine-tune a sequence generator on any score."""


@app.command()
def optimize(
    config: Annotated[Path, typer.Argument(help="TOML file of the run.")],
    out: Annotated[
        str | None,
        typer.Option(help="Run directory, a path or URI (s3://bucket/run); by default in runs/."),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the run's last checkpoint.")] = False,
    warm_start: Annotated[
        str | None,
        typer.Option(
            help="Table, SD file or run of sequences with rewards, to learn from at once."
        ),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Run to go on from: its policy and, under this config's reward, its scores.",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            help="Checkpoint of --from, by its name or its number of updates; by default the last."
        ),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Column of the sequences in --warm-start.")
    ] = None,
    reward_column: Annotated[
        str | None, typer.Option(help="Column of the rewards in --warm-start.")
    ] = None,
    lower_is_better: Annotated[
        bool, typer.Option(help="What --warm-start has is a cost: take it with the opposite sign.")
    ] = False,
    rescore: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Call components that the run of --warm-start or --from hadn't for this number "
            "of its sequences, the best first, beyond the budget.",
        ),
    ] = None,
    retries: Annotated[
        int, typer.Option(min=0, help="Number of failures after which the run goes on by itself.")
    ] = 0,
    retry_failed: RetryOption = False,
    report_samples: Annotated[
        int,
        typer.Option(
            min=0,
            help="Score this number of sequences each of prior and policy at the end, beyond the "
            "budget; prints the cost first.",
        ),
    ] = 0,
    report: Annotated[
        bool, typer.Option(help="Keep report.html in the run directory up to date.")
    ] = False,
    local: LocalOption = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Check all, say what would run and what it would cost, and end."
        ),
    ] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key: learner.temperature=0.05")
    ] = None,
) -> None:
    """Tune a policy on a reward, starting from a prior."""
    from sequence_tutor.distributed.commands.optimize import Options
    from sequence_tutor.distributed.commands.plain_print import print_plainly
    from sequence_tutor.distributed.commands.report import kept_report
    from sequence_tutor.distributed.commands.retries import optimize_with_retries
    from sequence_tutor.distributed.config_file import load_config
    from sequence_tutor.distributed.run_directory.fork import find_origin
    from sequence_tutor.distributed.run_directory.warm_start import WarmStart

    if warm_start is None and (column or reward_column or lower_is_better):
        raise ValueError("--column, --reward-column and --lower-is-better need --warm-start")
    if warm_start is None and from_ is None and rescore is not None:
        raise ValueError("--rescore needs --warm-start or --from")
    if from_ is None and at is not None:
        raise ValueError("--at needs --from, the run whose checkpoint it is")
    if from_ is not None and resume:
        raise ValueError("--from begins a new run: leave it out to --resume, which knows it")
    run = load_config(config, set_)
    if resume and out is None:
        raise ValueError("--resume needs --out, the run to go on with")
    if retry_failed and not resume:
        raise ValueError("--retry-failed needs --resume: there is nothing to try again")
    directory = Location(out or f"runs/{config.stem}-{datetime.now():%Y%m%d-%H%M%S}")
    start = None
    if warm_start is not None:
        start = WarmStart(warm_start, column, reward_column, lower_is_better)
    fork = None if from_ is None else find_origin(from_, at, run)
    options = Options(resume, start, rescore, retry_failed, report_samples, local, fork)
    if dry_run:
        from sequence_tutor.distributed.commands.dry_run import dry_run as command

        return command(run, directory, console, options)
    console.print(f"running {config} into {directory}; Ctrl-C stops cleanly")
    with kept_report(directory, console) if report else nullcontext():
        optimize_with_retries(run, directory, console, options, retries)
    if not report:
        print_plainly(console, f"look at it: sequence-tutor report {shlex.quote(str(directory))}")


@app.command()
def score(
    config: Annotated[Path, typer.Argument(help="TOML file with the \\[reward].")],
    file: Annotated[
        str,
        typer.Argument(help="Text, CSV, Excel, SD or Parquet file, packed or not; a path or URI."),
    ],
    out: Annotated[
        str | None,
        typer.Option(help="Result, .csv and .parquet; by default FILE.scored.csv here."),
    ] = None,
    column: ColumnOption = None,
    resume: Annotated[
        bool,
        typer.Option(help="Go on with what --out has begun; failed lines aren't tried again."),
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option(help="With --resume: try failed lines again, of a finished --out too.")
    ] = False,
    local: LocalOption = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key: scorers.count=8")
    ] = None,
) -> None:
    """Score a file of any size, one result per line, without any learning."""
    from sequence_tutor.distributed.commands.score_file import print_score_summary, score_file
    from sequence_tutor.distributed.config_file import load_config

    if retry_failed and not resume:
        raise ValueError("--retry-failed needs --resume: there is nothing to try again")
    run = load_config(config, set_)
    result = out or f"{Location(file).name.split('.')[0]}.scored.csv"
    summary = score_file(run, file, result, column, resume, console, retry_failed, local)
    print_score_summary(summary, result, console)


@app.command()
def sample(
    prior: PriorArgument,
    n: Annotated[
        int | None, typer.Option("-n", min=1, help="How many: 1000, or 10 to render.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write, one per line.")] = None,
    seed: SeedOption = None,
    max_length: Annotated[
        int | None, typer.Option(min=2, help="Longest sequence in tokens, if not the prior's.")
    ] = None,
    render: Annotated[
        Path | None, typer.Option(help="Directory for pictures; of melodies MIDI, WAV, MusicXML.")
    ] = None,
    scaffold: Annotated[
        str | None, typer.Option(help="Decorate this SMILES at its points, such as \\[*:1].")
    ] = None,
    fragments: Annotated[
        list[str] | None, typer.Option("--fragment", help="Link two SMILES: give it twice.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="What every sequence begins with.")] = None,
    fill: Annotated[
        str | None, typer.Option(help="Melody, or file of one, whose gaps (_) are filled.")
    ] = None,
    bars: Annotated[str | None, typer.Option(help="Bars of --fill that are a gap: 3-4.")] = None,
    rhythm: Annotated[
        str | None, typer.Option(help="Melody, or file of one, whose rhythm is kept.")
    ] = None,
    contour: Annotated[
        str | None, typer.Option(help="Melody, or file of one, whose rhythm and contour are kept.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Key of rendered melodies: D, Bb, F#m; C if not given.")
    ] = None,
    tempo: Annotated[
        float | None, typer.Option(help="Of rendered melodies, quarter notes a minute; 120.")
    ] = None,
    instrument: Annotated[
        int | None, typer.Option(help="Of rendered melodies, General MIDI's 0 to 127; 0, a piano.")
    ] = None,
) -> None:
    """Generate sequences."""
    from sequence_tutor.distributed.given_parts import sampling_encoding
    from sequence_tutor.policies.prior import load_prior
    from sequence_tutor.rewards.domains import domain_of

    style = {"key": key, "tempo": tempo, "instrument": instrument}
    style = {name: value for name, value in style.items() if value is not None}
    if style and render is None:
        raise ValueError(f"--{next(iter(style))} is for what --render writes")
    loaded = load_prior(prior)
    if out is not None and out.exists():
        raise ValueError(f"{out} exists already; choose another --out")
    if render is not None and render.exists() and (not render.is_dir() or any(render.iterdir())):
        raise ValueError(f"{render} exists already; choose another --render")
    if max_length is not None:
        loaded.encoding.max_length = max_length
    given = {"scaffold": scaffold, "fragments": fragments, "start": start, "fill": fill}
    given |= {"bars": bars, "rhythm": rhythm, "contour": contour}
    loaded.encoding = sampling_encoding(loaded, {k: v for k, v in given.items() if v is not None})
    sequences = loaded.sample(n or (1000 if render is None else 10), seed)
    if render is not None:
        Console(stderr=True, markup=False, emoji=False).print(
            domain_of(loaded.encoding.name).render(sequences, render, **style)
        )
    text = "".join(f"{sequence}\n" for sequence in sequences)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    elif render is None:
        sys.stdout.write(text)


@app.command()
def evaluate(
    source: Annotated[str, typer.Argument(help="A prior, a run, or a file of sequences.")],
    against: Annotated[
        str | None, typer.Option(help="Data to compare with, if not what the prior brings.")
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Sample size.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
    column: ColumnOption = None,
    encoding: Annotated[
        str | None,
        typer.Option(help="Of a file: smiles, selfies or melody; by default what it looks like."),
    ] = None,
    paper: Annotated[
        bool,
        typer.Option(
            "--paper",
            help="Show the results of the Sequence Tutor paper beside, and what it alone counts.",
        ),
    ] = False,
    report_samples: Annotated[
        int,
        typer.Option(
            min=0,
            help="Of a run that nothing else writes to: score this number of sequences each of its "
            "prior and policy; prints the cost first.",
        ),
    ] = 0,
) -> None:
    """Describe a prior, a run's policy or a file in numbers, beside data and noise."""
    from sequence_tutor.distributed.commands.evaluate import Request, evaluate_source

    request = Request(source, against, n, seed, column, encoding, paper, report_samples)
    evaluate_source(request, console)


for shown in (cli_report.report, cli_report.watch, cli_report.compare):
    app.command()(shown)
app.command()(cli_records.show)
app.command()(cli_records.rate)
app.command()(cli_records.init)


@app.command()
def components(
    name: Annotated[
        str | None, typer.Argument(help="A component or transform, to show all about it.")
    ] = None,
    encoding: EncodingOption = "smiles",
) -> None:
    """List what a reward can be made of: components and transforms."""
    from sequence_tutor.distributed.commands.components import print_components
    from sequence_tutor.rewards.domains import domain_of

    print_components(name, domain_of(encoding).name, console)


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="Config of REINVENT4, or its file of a model.")],
    out: Annotated[
        Path | None,
        typer.Option(help="File to write, by default standard output; of a model, a directory."),
    ] = None,
) -> None:
    """Turn a config of REINVENT4 into one of ours, and say what is left out."""
    from sequence_tutor.distributed.commands import convert as command

    text = command.convert(file, out, Console(stderr=True))
    if out is None:
        sys.stdout.write(text)


app.command()(cli_pretrain.pretrain)


def main() -> None:
    """Entry point. A user's mistake prints one sentence and exits with 2; a run that can't go on
    exits with 1."""
    for stream in (sys.stdout, sys.stderr):  # escape letters that a terminal lacks
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.path.append(os.getcwd())  # a user's own reward functions are in the working directory
    try:
        app()
    except (ValueError, OSError) as error:
        if type(error).__module__.startswith("ray."):  # a failure in a Ray actor, not in the input
            raise
        Console(stderr=True, emoji=False).print(
            f"error: {error}", markup=False, highlight=False, soft_wrap=True
        )
        sys.exit(2)
    except RunError as error:
        Console(stderr=True, emoji=False).print(
            f"error: {error}", markup=False, highlight=False, soft_wrap=True
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
