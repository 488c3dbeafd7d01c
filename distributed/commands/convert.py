"""The convert command: REINVENT4's config becomes one of ours, its file of a model a prior."""

from __future__ import annotations

from pathlib import Path

import tomli_w
from rich.console import Console

from sequence_tutor.distributed.commands.plain_print import print_plainly
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, parse_config
from sequence_tutor.distributed.reinvent.read import read
from sequence_tutor.distributed.reinvent.run import converted
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.find_prior import PriorError, is_reinvent
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.reinvent.notes import ConversionError, Notes


def convert(file: Path, out: Path | None, console: Console) -> str:
    """Return the config that a file becomes, "" where it is a model, which is saved as a prior.

    Writes it to `out` too, if given. `console` gets a sentence for each thing that is said in
    another way, that is left out, or that is missing here for the run. Raises ValueError with one
    sentence that names the file.
    """
    if out is not None and out.exists():
        raise ConversionError(f"{out} exists already; choose another --out")
    if is_reinvent(Location(file)):
        return _convert_model(file, out, console)
    notes = Notes()
    try:
        tables = converted(read(file), file.parent, notes)
        text = _head(file, notes) + tomli_w.dumps(tables)
        run = parse_config(tables, "what it becomes")
    except (ConversionError, ConfigError) as error:
        said = str(error)
        raise ConversionError(said if str(file) in said else f"{file}: {said}") from error
    for sentence in notes.changed:
        print_plainly(console, f"otherwise: {sentence}")
    for sentence in notes.left_out:
        print_plainly(console, f"left out: {sentence}")
    missing = _missing_prior(run.prior) if "prior" in tables else ""
    for sentence in (missing, _missing_for(run)):
        if sentence:
            print_plainly(console, f"before it runs: {sentence}")
    if out is not None:
        out.write_text(text, encoding="utf-8")
    return text


def _convert_model(file: Path, out: Path | None, console: Console) -> str:
    from sequence_tutor.policies.prior import load_prior

    if out is None:
        raise ConversionError(f"{file} is a model: give --out, the directory of the prior")
    load_prior(file).save(out)
    print_plainly(
        console, f"{out} is a prior; its weights are rounded to bfloat16, {file} serves as it is"
    )
    return ""


def _head(file: Path, notes: Notes) -> str:
    lines = [
        f"Converted from {file.name} of REINVENT4.",
        *(f"Left out: {n}" for n in notes.left_out),
    ]
    return "".join(f"# {' '.join(line.split())}\n" for line in lines) + "\n"


def _missing_prior(prior: str) -> str:
    """Why the run can't start from its prior, "" where it can."""
    from sequence_tutor.policies.prior import load_prior

    try:
        load_prior(prior)
    except (PriorError, OSError) as error:
        return str(error)
    return ""


def _missing_for(run: RunConfig) -> str:
    """Why the reward can't be built here, such as a file that is missing; "" where it can."""
    try:
        build_reward(run.reward, domain_of(run.encoding).name)
    except (ValueError, OSError) as error:
        return str(error)
    return ""
