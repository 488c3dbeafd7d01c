"""`sequence-tutor init`: writes a config that runs, from three answers.

questions or flags ──► Answers ──► text with comments ──► checked as any config ──► FILE
"""

from __future__ import annotations

import json
import math
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from sequence_tutor.distributed.commands.components import print_components
from sequence_tutor.distributed.commands.plain_print import print_plainly
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import parse_config, read_toml
from sequence_tutor.distributed.run_directory.starting_prior import check_prior
from sequence_tutor.policies.find_prior import encoding_of, shipped_priors
from sequence_tutor.rewards.compile import build_reward, call_order
from sequence_tutor.rewards.described import Description, described_components
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.names import unknown
from sequence_tutor.rewards.options import signature_options
from sequence_tutor.rewards.registry import components

# The two kinds of sequences that are asked for, and their encodings.
KINDS = {"molecules": "smiles", "melodies": "melody"}
# What each encoding's question about the components offers.
OFFERED = {"melody": "tonic"}
SCORES = 10_000
# Column from which on comments are written.
COMMENT_AT = 30


@dataclass(frozen=True)
class Answers:
    """What a config is written from; None and () where it isn't known yet."""

    encoding: str | None = None
    """How sequences are written as tokens, or one of KINDS."""
    components: tuple[str, ...] = ()
    """Names of the components."""
    scores: int | None = None
    """The score budget."""
    prior: str | None = None
    """The prior; None for the first shipped one of the encoding."""


def init(file: Path, answers: Answers, console: Console) -> None:
    """Write a config, and say how to run it. On a terminal asks for what isn't known. Raises
    ValueError for a mistake; nothing is written then."""
    if file.exists():
        raise ValueError(f"{file} exists already; choose another name")
    if not file.resolve().parent.is_dir():
        raise ValueError(f"there is no directory {file.resolve().parent}")
    asks = sys.stdin.isatty() and not (answers.encoding and answers.components and answers.scores)
    encoding = answers.encoding or (_ask_encoding() if asks else "smiles")
    encoding = KINDS.get(encoding, encoding)
    domain = domain_of(encoding).name
    chosen = answers.components
    if not chosen and asks:
        chosen = _ask_components(domain, OFFERED.get(encoding, "qed"), console)
    if not chosen:
        raise ValueError(
            "name what to optimise: --component qed, for example; "
            f"`sequence-tutor components --encoding {encoding}` lists all"
        )
    scores = answers.scores or (_ask_scores() if asks else SCORES)
    text = config_text(file, encoding, chosen, scores, answers.prior)
    run = parse_config(read_toml(text.encode(), str(file)), str(file))
    check_prior(run)
    call_order(run.reward, domain)
    file.write_text(text, encoding="utf-8")
    print_plainly(console, f"{file} is written; look at it, then: sequence-tutor optimize {file}")
    if why := _why_not_ready(run):
        print_plainly(console, f"before it runs, change this in it: {why}")


def config_text(
    file: Path, encoding: str, names: Sequence[str], scores: int, prior: str | None = None
) -> str:
    """A config in TOML with comments. Raises ValueError for unknown names, and where no shipped
    prior has the encoding."""
    domain = domain_of(encoding).name
    described = {one.name: one for one in described_components(domain)}
    for name in names:
        if name not in described:
            raise ValueError(unknown("component", name, described))
    tables = [_component(described[name], domain) for name in names]
    bounded = all(_is_bounded(described[name], domain) for name in names)
    aggregate = "geometric_mean" if bounded and len(names) > 1 else "arithmetic_mean"
    how = {
        "geometric_mean": 'good in all of them; "arithmetic_mean" lets one make up for another',
        "arithmetic_mean": "the mean of the components",
    }[aggregate]
    limit = RunConfig.model_fields["reward"].annotation.model_fields["timeout_s"].default  # type: ignore[union-attr]
    lines = [
        "# Written by `sequence-tutor init`; docs/config.md has every other key.",
        f"# What it will cost:  sequence-tutor optimize {file.name} --dry-run",
        f"# To run it:          sequence-tutor optimize {file.name} --out runs/{file.stem}",
        "",
        _line("encoding", encoding, "how a sequence is written as tokens"),
        _line(
            "prior",
            prior or _shipped(encoding),
            "where the policy starts: a shipped prior, or a directory of yours",
        ),
        _line("seed", 0, "another seed gives another run"),
        "",
        "[reward]",
        _line("aggregate", aggregate, how),
        _line("timeout_s", limit, "seconds after which a score is given up"),
        "",
        *[line for table in tables for line in (*table, "")],
        "[learner]",
        _line(
            "temperature",
            "auto",
            'c: smaller goes further from the prior; "auto" finds it, or give a number',
        ),
        "",
        "[stop]",
        _line("scores", scores, "how many distinct valid sequences may be scored"),
    ]
    return "\n".join(lines) + "\n"


def _component(one: Description, domain: str) -> list[str]:
    """The lines of a component: what it needs, from its example, and what else there is."""
    given = _example(one.name, domain)
    lines = ["[[reward.component]]", _line("name", one.name, f"{one.value} Values: {one.range}.")]
    lines += [
        _line(key, value, "an example: put yours here" if key != "transform" else "to 0..1")
        for key, value in given.items()
    ]
    lines.append(_line("weight", 1.0, "how much it counts beside the others"))
    # what judges by the step is paid at each step as it is
    if not _is_bounded(one, domain) and not components(domain)[one.name].steps:
        lines.append("# where less is better, or a window, a transform brings values to 0..1:")
        lines.append('# transform = { type = "double_sigmoid", low = 1.0, high = 4.0 }')
    optional = [o.short for o in one.options if o.default and o.name not in given]
    if optional:
        lines.append(f"# other options: {', '.join(optional)}")
    return lines


def _example(name: str, domain: str) -> dict[str, Any]:
    """What the component's example says of the options that it needs."""
    text = components(domain)[name].example
    options: dict[str, Any] = tomllib.loads(f"x = {{ {text} }}")["x"]
    _, required = signature_options(components(domain)[name].function)
    if not required:  # one of several may be needed
        return options
    return {key: value for key, value in options.items() if key in (*required, "transform")}


def _is_bounded(one: Description, domain: str) -> bool:
    """Whether the component, as its example configures it, gives values from 0 to 1."""
    given = _example(one.name, domain)
    options = {key: value for key, value in given.items() if key != "transform"}
    low, high = components(domain)[one.name].range_with(options)
    return "transform" in given or (low >= 0 and high <= 1 and not math.isnan(low + high))


def _shipped(encoding: str) -> str:
    found = [name for name in shipped_priors() if encoding_of(name) == encoding]
    if not found:
        raise ValueError(
            f"no shipped prior writes {encoding}: give --prior, such as one that pretrain has made"
        )
    return found[0]


def _line(key: str, value: Any, comment: str) -> str:
    text = f"{key} = {_toml(value)}"
    return f"{text:<{COMMENT_AT - 1}} # {' '.join(comment.split())}"


def _toml(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{k} = {_toml(v)}' for k, v in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _why_not_ready(run: RunConfig) -> str:
    """What the examples in the config lack here, such as a file; "" where it runs as it is."""
    try:
        build_reward(run.reward, run.domain.name)
    except (ValueError, OSError, ImportError) as error:
        return str(error)
    return ""


# -- questions ------------------------------------------------------------------------------------


def _ask(question: str, default: str, check: Callable[[str], str]) -> str:
    """Ask until `check` returns "" and no complaint."""
    while True:
        answer = str(typer.prompt(question, default=default)).strip()
        if not (complaint := check(answer)):
            return answer
        if complaint != "?":
            typer.echo(complaint)


def _ask_encoding() -> str:
    def check(answer: str) -> str:
        if answer in KINDS:
            return ""
        try:
            domain_of(answer)
        except ValueError as error:
            return f"{error} (or: {', '.join(KINDS)})"
        return ""

    return _ask("What do you want to make: molecules or melodies?", "molecules", check)


def _ask_components(domain: str, default: str, console: Console) -> tuple[str, ...]:
    known = components(domain)

    def names(answer: str) -> list[str]:
        return [name.strip() for name in answer.split(",") if name.strip()]

    def check(answer: str) -> str:
        if answer == "?":
            print_components(None, domain, console)
            return "?"
        wrong = [name for name in names(answer) if name not in known]
        return unknown("component", wrong[0], known) if wrong else ""

    question = "What should be optimised? Names with commas between them, ? lists them"
    return tuple(names(_ask(question, default, check)))


def _ask_scores() -> int:
    def check(answer: str) -> str:
        number = answer.replace(",", "").replace("_", "")
        return "" if number.isdigit() and int(number) else "give a number, such as 10000"

    answer = _ask("How many may be scored?", f"{SCORES}", check)
    return int(answer.replace(",", "").replace("_", ""))
