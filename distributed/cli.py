"""The command line: sequence-tutor pretrain | optimize | sample | evaluate."""

from __future__ import annotations

import os
import sys
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sequence_tutor.policies.pretrain_settings import PretrainSettings

DEFAULT = PretrainSettings()
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
console = Console()

PriorArgument = Annotated[
    str, typer.Argument(help="A shipped prior, a prior's directory or a run.")
]
SeedOption = Annotated[int | None, typer.Option(help="The same seed gives the same sequences.")]
ColumnOption = Annotated[str | None, typer.Option(help="Column of a CSV or Parquet file.")]


@app.command()
def optimize(
    config: Annotated[Path, typer.Argument(help="TOML file of the run.")],
    out: Annotated[Path | None, typer.Option(help="Run directory, by default under runs/.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the run's last checkpoint.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key: learner.temperature=0.05")
    ] = None,
) -> None:
    """Tune a policy on a reward, starting from a prior."""
    from sequence_tutor.distributed.config import load_config
    from sequence_tutor.distributed.run import optimize as run_to_the_end
    from sequence_tutor.distributed.run import print_summary

    run = load_config(config, set_)
    if resume and out is None:
        raise ValueError("--resume needs --out, the run to go on with")
    directory = out or Path("runs") / f"{config.stem}-{datetime.now():%Y%m%d-%H%M%S}"
    console.print(f"running {config} into {directory}; Ctrl-C stops cleanly")
    summary = run_to_the_end(run, directory, console, resume)
    print_summary(summary, directory, console)


@app.command()
def sample(
    prior: PriorArgument,
    n: Annotated[int, typer.Option("-n", min=1, help="How many sequences.")] = 1000,
    out: Annotated[Path | None, typer.Option(help="File to write, one per line.")] = None,
    seed: SeedOption = None,
) -> None:
    """Generate sequences."""
    from sequence_tutor.policies.prior import load_prior

    loaded = load_prior(prior)
    if out is not None and out.exists():
        raise ValueError(f"{out} exists already; choose another --out")
    text = "".join(f"{sequence}\n" for sequence in loaded.sample(n, seed))
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")


@app.command()
def evaluate(
    source: Annotated[str, typer.Argument(help="A prior, a run, or a file of sequences.")],
    against: Annotated[
        Path | None, typer.Option(help="Training data: adds novelty and the data's own numbers.")
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Sample size.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
    column: ColumnOption = None,
) -> None:
    """Describe a prior, a run's policy or a file in numbers."""
    import random

    from sequence_tutor.distributed.evaluation import describe, describe_sequences, nll
    from sequence_tutor.policies.corpus import read_corpus
    from sequence_tutor.policies.prior import load_prior
    from sequence_tutor.rewards.domains import domain_of

    columns: dict[str, dict[str, float]] = {}
    if Path(source).is_file():
        domain, prior, name = domain_of("smiles"), None, Path(source).name
        corpus = read_corpus(Path(source), lambda _: None, column)
        sequences = corpus.sequences
    else:
        prior, name, sequences = load_prior(source), source, []
        domain = domain_of(prior.encoding.name)
    training = None
    part: list[str] = []
    if against is not None:
        data = _read(against, domain, column)
        training = {domain.key(s) or s for s in data}
        part = random.Random(seed).sample(data, min(n, len(data)))
        if prior is not None:
            _check_vocabulary(prior.encoding, part, against)
    if prior is None:
        columns[name] = describe_sequences(sequences, domain, training=training)
    else:
        columns[name] = describe(prior, domain, n=n, seed=seed, training=training)
    if against is not None:
        columns[against.name] = describe_sequences(part, domain, training=training)
        if prior is not None:
            columns[against.name]["nll"] = nll(prior, part)
    _print_columns(columns)


@app.command()
def pretrain(
    data: Annotated[Path, typer.Argument(help="Text, gzip, CSV or Parquet file of sequences.")],
    out: Annotated[Path, typer.Option(help="Directory of the prior.")],
    encoding: Annotated[str, typer.Option(help="How sequences become tokens: smiles.")] = "smiles",
    column: ColumnOption = None,
    resume: Annotated[bool, typer.Option(help="Go on with the training in --out.")] = False,
    licence: Annotated[str, typer.Option(help="Licence of the data, for the model card.")] = "",
    max_length: Annotated[int, typer.Option(min=2, help="Longest sequence in tokens.")] = 100,
    cell: Annotated[str, typer.Option(help="gru or lstm.")] = DEFAULT.cell,
    layers: Annotated[int, typer.Option(min=1)] = DEFAULT.layers,
    hidden: Annotated[int, typer.Option(min=1)] = DEFAULT.hidden,
    embedding: Annotated[int, typer.Option(min=1)] = DEFAULT.embedding,
    epochs: Annotated[int, typer.Option(min=1)] = DEFAULT.epochs,
    batch: Annotated[int, typer.Option(min=1)] = DEFAULT.batch,
    learning_rate: Annotated[float, typer.Option(min=0)] = DEFAULT.learning_rate,
    dropout: Annotated[float, typer.Option(min=0, max=0.9)] = DEFAULT.dropout,
    decay_share: Annotated[float, typer.Option(min=0, max=1)] = DEFAULT.decay_share,
    validation: Annotated[float, typer.Option(min=0.0001, max=0.5)] = DEFAULT.validation,
    patience: Annotated[
        int, typer.Option(min=1, help="Epochs without a better NLL.")
    ] = DEFAULT.patience,
    seed: Annotated[int, typer.Option()] = DEFAULT.seed,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    report_samples: Annotated[int, typer.Option(min=0, help="Sample size of the report.")] = 1000,
) -> None:
    """Train a prior by maximum likelihood."""
    from sequence_tutor.distributed.pretraining import pretrain_prior

    given = locals()
    settings = PretrainSettings(
        **{f.name: given[f.name] for f in fields(PretrainSettings) if f.name in given}
    )
    columns = pretrain_prior(
        data,
        out,
        encoding,
        settings,
        column=column,
        resume=resume,
        licence=licence,
        max_length=max_length,
        device=device,
        report_samples=report_samples,
        console=console,
    )
    _print_columns(columns)


def _read(path: Path, domain: Any, column: str | None) -> list[str]:
    """Valid sequences of a file; complains on standard error about the rest."""
    from sequence_tutor.policies.corpus import read_corpus

    corpus = read_corpus(
        path, lambda s: None if domain.key(s) is not None else "not a valid sequence", column
    )
    if corpus.broken_count:
        Console(stderr=True).print(corpus.complaints(), markup=False)
    return corpus.sequences


def _check_vocabulary(encoding: Any, sequences: list[str], path: Path) -> None:
    """Raises ValueError where the vocabulary lacks a token of some sequence."""
    lacking = []
    for sequence in sequences:
        try:
            encoding.encode(sequence)
        except ValueError as error:
            lacking.append(str(error))
    if lacking:
        raise ValueError(
            f"{path}: the prior's vocabulary lacks tokens of {len(lacking)} of {len(sequences)} "
            f"sequences, the first: {lacking[0]}; leave these out, or pretrain a prior on data "
            "that has them"
        )


def _print_columns(columns: dict[str, dict[str, float]]) -> None:
    table = Table()
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    rows = list(dict.fromkeys(key for numbers in columns.values() for key in numbers))
    for row in rows:
        cells = [f"{c[row]:.4g}" if row in c else "" for c in columns.values()]
        table.add_row(row.replace("_", " "), *cells)
    console.print(table)


def main() -> None:
    """Entry point: what a user did wrong is one sentence and exit code 2."""
    sys.path.append(os.getcwd())  # where a user's own reward functions are
    try:
        app()
    except (ValueError, OSError) as error:
        if type(error).__module__.startswith("ray."):  # a failure in a Ray actor, not in the input
            raise
        Console(stderr=True).print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
