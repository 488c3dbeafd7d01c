"""The pretrain command: corpus in, prior and report out."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from sequence_tutor.distributed.report.evaluation import describe
from sequence_tutor.policies.encodings.registry import encodings
from sequence_tutor.policies.files.corpus import Corpus
from sequence_tutor.policies.pretrain import Pretraining
from sequence_tutor.policies.pretrain import Progress as TrainingProgress
from sequence_tutor.policies.pretrain_settings import PretrainSettings
from sequence_tutor.policies.prior import load_prior
from sequence_tutor.rewards.domains import domain_of


def pretrain_prior(
    data: Path,
    out: Path,
    encoding: str,
    settings: PretrainSettings,
    *,
    console: Console,
    column: str | None = None,
    validation_data: Path | None = None,
    resume: bool = False,
    licence: str = "",
    max_length: int | None = None,
    include_data: bool = False,
    device: str = "cpu",
    report_samples: int = 1000,
) -> dict[str, dict[str, float]]:
    """Train a prior from a file and describe it beside its data.

    Returns metrics by column name. Raises ValueError for what the user can mend.
    """
    if encoding not in encodings():
        raise ValueError(f"unknown encoding {encoding!r}; there are: {', '.join(encodings())}")
    if out.exists() and any(out.iterdir()) and not resume:
        raise ValueError(f"{out} exists already; choose another --out, or --resume it")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("no CUDA device here; use --device cpu")
    domain, kind = domain_of(encoding), encodings()[encoding]
    longest = max_length or kind.usual_length
    keys: dict[str, str] = {}  # of each usable sequence

    def check(sequence: str) -> str | None:
        try:
            own = kind.fit([sequence])
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

    console.print(f"reading {data}", markup=False, highlight=False, soft_wrap=True)
    corpus = kind.read(data, check, longest, column)
    held_out: list[str] = []
    if validation_data is not None:
        validation = kind.read(validation_data, check, longest, column)
        validation.make_distinct(keys)
        held_out = validation.sequences
        _tell(validation, console)
    corpus.make_distinct(keys, {keys[s] for s in held_out})
    _tell(corpus, console)
    if not corpus.sequences:
        raise ValueError(f"{data} has nothing that is not in {validation_data} as well")
    fitted = kind.fit(corpus.sequences + held_out, longest)
    training = Pretraining(fitted, corpus.sequences, settings, device, corpus.groups, held_out)
    if resume:
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
    best = load_prior(out)
    best.card |= {
        "data": data.name,
        "licence": licence,
        "sequences": len(training.data.training),
        "validation_nll": training.best_nll,
    }
    if include_data:
        best.data = training.data
    best.save(out)
    if not report_samples:
        return {}
    samples = best.sample(report_samples, settings.seed)
    known = {keys[s] for s in training.data.training}
    return {
        "held-out data": describe(
            training.data.held_out[:report_samples], domain, training=known, prior=best
        ),
        "prior": describe(samples, domain, training=known, prior=best),
    }


def _tell(corpus: Corpus, console: Console) -> None:
    for remark in corpus.remarks():
        console.print(remark, markup=False, highlight=False, soft_wrap=True)
