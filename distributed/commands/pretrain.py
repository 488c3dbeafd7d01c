"""The pretrain command: trains a prior on a corpus and reports on it beside held-out data."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from sequence_tutor.distributed.commands.plain_print import print_plainly
from sequence_tutor.distributed.commands.transfer import Start, print_nll
from sequence_tutor.distributed.report.evaluation import describe
from sequence_tutor.policies.encodings.base import Encoding
from sequence_tutor.policies.encodings.registry import encodings
from sequence_tutor.policies.files.corpus import Corpus
from sequence_tutor.policies.pretrain import Pretraining
from sequence_tutor.policies.pretrain import Progress as TrainingProgress
from sequence_tutor.policies.pretrain_settings import PretrainSettings
from sequence_tutor.policies.prior import load_prior
from sequence_tutor.rewards.domains import domain_of


@dataclass(frozen=True)
class Request:
    """The arguments of pretrain, without the settings of the training."""

    data: Path
    """File or folder of sequences."""
    out: Path
    """Directory of the prior."""
    encoding: str
    """Encoding of the sequences."""
    column: str | None = None
    """Column of the sequences in the files."""
    validation_data: Path | None = None
    """Data to validate with; None for a share of `data`."""
    resume: bool = False
    """Whether to continue the training in `out`."""
    licence: str = ""
    """Licence of the data, for the model card."""
    max_length: int | None = None
    """Longest sequence in tokens; None for the encoding's usual length."""
    include_data: bool = False
    """Whether to save the data beside the weights."""
    device: str = "cpu"
    """"cpu" or "cuda"."""
    start: str | None = None
    """Prior to start from, which then decides on the encoding and the network; None for none."""
    old_data: Path | None = None
    """Data of that prior, to see what it forgets; None for the data that it brings."""
    report_samples: int = 1000
    """Sample size of the report; 0 for no report."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of melodies that were given: `metre`, `grid`, `bars`, `track`, `upbeat`."""


def pretrain_prior(
    request: Request, settings: PretrainSettings, console: Console
) -> dict[str, dict[str, float]]:
    """Train a prior from a file and describe it beside its data.

    Returns metrics by column name. Raises ValueError for a mistake of the user.
    """
    data, out = request.data, request.out
    start = None if request.start is None else Start(request.start, request.old_data)
    if start is None and request.old_data is not None:
        raise ValueError("--old-data needs --from: it is the data of the prior to start from")
    encoding = request.encoding if start is None else start.prior.encoding.name
    if encoding not in encodings():
        raise ValueError(f"unknown encoding {encoding!r}; there are: {', '.join(encodings())}")
    if out.exists() and any(out.iterdir()) and not request.resume:
        raise ValueError(f"{out} exists already; choose another --out, or --resume it")
    if request.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("no CUDA device here; use --device cpu")
    domain, kind = domain_of(encoding), encodings()[encoding]
    own_options, reading, longest = _options(request, kind, start)
    keys: dict[str, str] = {}  # key of each usable sequence

    def check(sequence: str) -> str | None:
        try:
            own = kind.fit([sequence], **own_options)
            length = len(own.encode(sequence))
        except ValueError as error:
            return str(error)
        if length > longest:
            return f"{length} tokens, more than --max-length {longest}"
        if own.vocabulary.end_id is None and length != longest:
            return f"{length} tokens where every sequence must have --max-length {longest}"
        key = domain.key(sequence)
        if key is None:
            return "not a valid sequence"
        keys[sequence] = key
        return None

    print_plainly(console, f"reading {data}")
    corpus = kind.read(data, check, longest, request.column, **reading)
    held_out: list[str] = []
    if request.validation_data is not None:
        validation = kind.read(request.validation_data, check, longest, request.column, **reading)
        validation.make_distinct(keys)
        held_out = validation.sequences
        _print_remarks(validation, console)
    corpus.make_distinct(keys, {keys[s] for s in held_out})
    _print_remarks(corpus, console)
    if not corpus.sequences:
        raise ValueError(f"{data} has nothing that isn't in {request.validation_data} as well")
    everything = corpus.sequences + held_out
    if start is None:
        training = Pretraining(
            kind.fit(everything, longest, **own_options),
            corpus.sequences,
            settings,
            request.device,
            corpus.groups,
            held_out,
        )
    else:
        grown = start.grown(everything, longest, request.column, console)
        training = Pretraining(
            grown.encoding,
            corpus.sequences,
            start.settings(settings),
            request.device,
            corpus.groups,
            held_out,
            grown.network,
            start.origin,
        )
    if request.resume:
        training.restore(out)
    columns = [BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn()]
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=training.total_steps, completed=training.step)

        def report(p: TrainingProgress) -> None:
            text = f"epoch {p.epoch:.2f}, NLL {p.train_nll:.2f}, {p.sequences_per_s:.0f}/s"
            bar.update(task, completed=p.step, description=text)
            if p.validation_nll is not None:
                bar.console.print(
                    f"epoch {p.epoch:.0f}: training NLL {p.train_nll:.3f}, "
                    f"validation NLL {p.validation_nll:.3f} nats per sequence"
                )

        training.run(out, report)
    for name, rows in corpus.tables.items():
        with (out / name).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(rows)
    best = load_prior(out)
    best.card |= {
        "data": data.name,
        "licence": request.licence,
        "sequences": len(training.data.training),
        "validation_nll": training.best_nll,
    }
    if start is not None:
        best.card["nll"] = print_nll(start, best, training.data.held_out, data.name, console)
    if request.include_data:
        best.data = training.data
    best.save(out)
    if not request.report_samples:
        return {}
    samples = best.sample(request.report_samples, settings.seed)
    known = {keys[s] for s in training.data.training}
    return {
        "held-out data": describe(
            training.data.held_out[: request.report_samples], domain, training=known, prior=best
        ),
        "prior": describe(samples, domain, training=known, prior=best),
    }


def _options(
    request: Request, kind: type[Encoding], start: Start | None
) -> tuple[dict[str, Any], dict[str, Any], int]:
    """What the encoding takes, what its `read` takes, and the greatest length in tokens. Raises
    ValueError for options that the encoding hasn't."""
    options, prior = dict(request.options), None if start is None else start.prior.encoding
    usual = kind.usual_length if prior is None else prior.max_length
    if not kind.option_names:
        if options:
            wrong = " and ".join(f"--{name}" for name in options)
            raise ValueError(f"{wrong} can't be chosen with --encoding {kind.name}")
        return {}, {}, request.max_length or usual
    if prior is None:
        own = {name: options[name] for name in kind.option_names if name in options}
    else:
        own = prior.options
    bars = {"bars": options.pop("bars")} if "bars" in options else {}
    if prior is None or bars:
        usual = kind.fit((), **own, **bars).max_length
    return own, options | own, request.max_length or usual


def _print_remarks(corpus: Corpus, console: Console) -> None:
    for remark in corpus.remarks():
        print_plainly(console, remark)
