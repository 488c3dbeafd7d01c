"""The arguments of pretrain, which has most of them."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sequence_tutor.policies.pretrain_settings import TRANSFER, PretrainSettings

DEFAULT = PretrainSettings()
# Options that only some encodings have.
OF_ENCODING = ("metre", "grid", "bars", "track", "upbeat")
console = Console(markup=False, emoji=False)  # a [ or :o: in a name is printed as it is

ColumnOption = Annotated[
    str | None, typer.Option(help="Column of the sequences in a table, or field of an SD file.")
]
EncodingOption = Annotated[str, typer.Option(help="smiles, selfies or melody.")]


def pretrain(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Argument(
            help="Text, CSV, Excel, SD or Parquet file; melodies: folder, zip or file of music."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Directory of the prior.")],
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Prior to start from, as for sample: for a few hundred sequences. Its network and "
            "encoding stay, and the defaults of the training are others, see the documents.",
        ),
    ] = None,
    old_data: Annotated[
        Path | None,
        typer.Option(
            help="Data of the prior of --from, to see what it forgets; by default what it brings."
        ),
    ] = None,
    encoding: EncodingOption = "smiles",
    column: ColumnOption = None,
    resume: Annotated[bool, typer.Option(help="Go on with the training in --out.")] = False,
    licence: Annotated[str, typer.Option(help="Licence of the data, for the model card.")] = "",
    validation_data: Annotated[
        Path | None, typer.Option(help="Data to validate with, instead of a share of DATA.")
    ] = None,
    include_data: Annotated[
        bool, typer.Option(help="Put the data beside the weights, for evaluate to compare with.")
    ] = False,
    max_length: Annotated[
        int | None,
        typer.Option(min=2, help="Longest sequence in tokens; 100 for smiles, 32 for melody."),
    ] = None,
    metre: Annotated[
        str, typer.Option(help="Of melodies: 4/4, 3/4, 6/8 ...; pieces in others are skipped.")
    ] = "4/4",
    grid: Annotated[
        int,
        typer.Option(min=1, help="Of melodies: steps per quarter note; 12 holds triplets too."),
    ] = 4,
    bars: Annotated[
        int | None, typer.Option(min=1, help="Of melodies: their length, for --max-length.")
    ] = None,
    track: Annotated[
        str | None, typer.Option(help="Of melodies: name or number of the part that has them.")
    ] = None,
    upbeat: Annotated[
        str, typer.Option(help="Of melodies: auto estimates it in MIDI that doesn't tell it; none.")
    ] = "auto",
    cell: Annotated[str, typer.Option(help="lstm, gru or mingru.")] = DEFAULT.cell,
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
    """Train a prior by maximum likelihood, from nothing or from another prior."""
    from sequence_tutor.distributed.commands.pretrain import Request, pretrain_prior
    from sequence_tutor.distributed.report.evaluation import print_table
    from sequence_tutor.policies.find_prior import encoding_of
    from sequence_tutor.rewards.domains import domain_of

    given = locals()
    chosen = {name for name in given if _is_given(context, name)}
    if start is not None and (
        wrong := chosen & {"encoding", "metre", "grid", "cell", "layers", "hidden", "embedding"}
    ):
        raise ValueError(
            f"--{min(wrong)} can't be chosen with --from: encoding and network are the prior's"
        )
    settings = replace(
        DEFAULT if start is None else TRANSFER,
        **{f.name: given[f.name] for f in fields(PretrainSettings) if f.name in chosen},
    )
    if bars is not None and max_length is not None:
        raise ValueError("--bars and --max-length say the same: give one of them")
    options = {name: given[name] for name in OF_ENCODING if name in chosen}
    request = Request(
        **{f.name: given[f.name] for f in fields(Request) if f.name in given}, options=options
    )
    columns = pretrain_prior(request, settings, console)
    domain = domain_of(request.encoding if start is None else encoding_of(start))
    print_table(columns, console, hidden=domain.of_papers, notes=domain.row_notes)


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether an option is on the command line, and not its default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
