"""What a page shows of a run, or of several side by side: JSON values, and the rows as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sequence_tutor.distributed.config_file import ConfigError, to_toml
from sequence_tutor.distributed.report.page.beside import Beside, distributions
from sequence_tutor.distributed.report.page.compare import (
    differences,
    groups_of,
    joined,
    numbers_of,
    rows_of,
    shared,
    table_of,
)
from sequence_tutor.distributed.report.page.curves import Curves, read_curves
from sequence_tutor.distributed.report.page.facts import (
    by_component,
    by_source,
    failures,
    grouped,
    over_time,
)
from sequence_tutor.distributed.report.page.rows import Rows, RunPart, read_rows
from sequence_tutor.distributed.report.page.shown import best_shown, labels, scaffolds, structures
from sequence_tutor.distributed.report.page.words import compared, summary, warnings

# Best sequences that the properties of "the best" are of.
DESCRIBED = 200


@dataclass(frozen=True)
class Run:
    """A run on a page."""

    name: str
    """What the page calls it."""
    parts: list[RunPart]
    """It, or its stages in order."""


def run_content(run: Run, beside: Beside) -> dict[str, Any]:
    """What the page about a run shows, before it is packed: JSON values, and arrays."""
    domain = run.parts[-1].config.domain
    rows = read_rows(run.parts)
    curves, last = read_curves(run.parts)
    content = _content(rows, run.parts, last, beside)
    groups = content["groups"]
    found = rows.keys(np.flatnonzero(rows.valid))
    best = {"the best": rows.keys(rows.best(DESCRIBED))}
    return content | {
        "title": run.name,
        "summary": summary(run.parts, rows, last, groups),
        "warnings": [*warnings(run.parts, rows, last, groups), *beside.lacking],
        "runs": [_lines(run.name, run.name, curves, over_time(rows, domain))],
        "sampled": _sampled(rows),
        "distributions": distributions(best, found, beside, domain),
        "config": to_toml(run.parts[-1].config),
        "command": f"sequence-tutor optimize config.toml --out {run.name}-again",
    }


def comparison_content(runs: Sequence[Run], beside: Beside) -> dict[str, Any]:
    """What the page about several runs shows; as `run_content`, and `compared`."""
    domains = {run.parts[-1].config.domain.name for run in runs}
    if len(domains) > 1:
        raise ConfigError(f"runs of {' and of '.join(sorted(domains))} can't be compared")
    configs = [run.parts[-1].config for run in runs]
    domain = configs[0].domain
    names = [run.name for run in runs]
    groups = groups_of(configs, names)
    several = [rows_of(run.name, run.parts) for run in runs]
    lines, numbers = [], []
    for run, group, own in zip(runs, groups, several, strict=True):
        curves, last = read_curves(run.parts)
        windows = over_time(own, domain)
        lines.append(_lines(run.name, group, curves, windows))
        numbers.append(numbers_of(own, last, windows["diversity"], domain))
    rows = joined(several)
    best = {
        f"best of {name}": own.keys(own.best(DESCRIBED))
        for name, own in zip(names, several, strict=True)
    }
    return _content(rows, [part for run in runs for part in run.parts], {}, beside) | {
        "title": ", ".join(names),
        "summary": compared(names, [n["mean of the best ten"] for n in numbers], rows.total),
        "warnings": list(beside.lacking),
        "runs": lines,
        "compared": {
            "groups": list(dict.fromkeys(groups)),
            "sizes": [groups.count(group) for group in dict.fromkeys(groups)],
            "table": table_of(groups, numbers),
            "names": names,
            "differences": differences(configs),
            "shared": shared(names, several),
        },
        "sampled": " ".join(filter(None, map(_sampled, several))),
        "distributions": distributions(best, [], beside, domain),
        "config": "",
        "command": "",
    }


def _content(
    rows: Rows, parts: Sequence[RunPart], last: Mapping[str, Any], beside: Beside
) -> dict[str, Any]:
    """What is made in the same way of one run and of several; last: the last metrics of one."""
    domain = parts[-1].config.domain
    groups = grouped(rows, parts, domain)
    return {
        "kind": domain.name,
        "rows": rows,
        "labels": labels(rows),
        "components": by_component(rows, parts),
        "sources": by_source(rows, last),
        "failures": failures(rows),
        "groups": groups if groups is None else groups | {"pictures": scaffolds(groups, domain)},
        "best": best_shown(rows, beside, domain),
        "corpus": beside.corpus_name if beside.corpus else "",
        "structures": structures(rows, domain),
        "structure_file": domain.structure_file,
    }


def _lines(name: str, group: str, curves: Curves, windows: Mapping[str, Any]) -> dict[str, Any]:
    """The learning curves of a run."""
    return {"name": name, "group": group, "curves": curves, "windows": windows}


def _sampled(rows: Rows) -> str:
    if rows.total == len(rows):
        return ""
    return (
        f"The record has {rows.total:,} rows. This page holds {len(rows):,}: the best 20,000, and "
        "of the others some, evenly over time. Counts and means are of these."
    )
