"""What a page shows of a run, or of several side by side: JSON values, and the rows as arrays."""

from __future__ import annotations

from collections.abc import Sequence
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
from sequence_tutor.rewards.base import Domain

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
    groups = grouped(rows, run.parts, domain)
    best = rows.best(DESCRIBED)
    found = [rows.words["key"][i] for i in np.flatnonzero(rows.valid).tolist()]
    keys = [rows.words["key"][i] for i in best.tolist()]
    return {
        "title": run.name,
        "kind": domain.name,
        "summary": summary(run.parts, rows, last, groups),
        "warnings": warnings(run.parts, rows, last, groups),
        "runs": [_curves(run.name, curves, rows, domain)],
        "rows": rows,
        "sampled": _sampled(rows),
        "labels": labels(rows),
        "components": by_component(rows, run.parts),
        "sources": by_source(rows, last),
        "failures": failures(rows),
        "groups": groups if groups is None else groups | {"pictures": scaffolds(groups, domain)},
        "distributions": distributions({"the best": keys}, found, beside, domain),
        "best": best_shown(rows, beside, domain),
        "corpus": beside.corpus_name if beside.corpus else "",
        "structures": structures(rows, domain),
        "structure_file": domain.structure_file,
        "config": to_toml(run.parts[-1].config),
        "command": f"sequence-tutor optimize config.toml --out {run.name}-again",
    }


def comparison_content(runs: Sequence[Run], beside: Beside) -> dict[str, Any]:
    """What the page about several runs shows; as `run_content`, and `compared`."""
    domains = {run.parts[-1].config.domain.name for run in runs}
    if len(domains) > 1:
        raise ConfigError(f"runs of {' and of '.join(sorted(domains))} can't be compared")
    configs = [run.parts[-1].config for run in runs]
    names = [run.name for run in runs]
    several = [rows_of(run.name, run.parts) for run in runs]
    rows, domain = joined(several), configs[0].domain
    groups = groups_of(configs, names)
    numbers = [numbers_of(run.parts, own) for run, own in zip(runs, several, strict=True)]
    best = {
        f"best of {name}": [own.words["key"][i] for i in own.best(DESCRIBED).tolist()]
        for name, own in zip(names, several, strict=True)
    }
    clusters = grouped(rows, [part for run in runs for part in run.parts], domain)
    return {
        "title": ", ".join(names),
        "kind": domain.name,
        "summary": compared(names, [n["mean of the best ten"] for n in numbers], rows.total),
        "warnings": [],
        "runs": [
            _curves(run.name, read_curves(run.parts)[0], own, domain) | {"group": group}
            for run, own, group in zip(runs, several, groups, strict=True)
        ],
        "compared": {
            "groups": list(dict.fromkeys(groups)),
            "sizes": [groups.count(group) for group in dict.fromkeys(groups)],
            "table": table_of(groups, numbers),
            "names": names,
            "differences": differences(configs),
            "shared": shared(names, several),
        },
        "rows": rows,
        "sampled": " ".join(filter(None, map(_sampled, several))),
        "labels": labels(rows),
        "components": by_component(rows, [part for run in runs for part in run.parts]),
        "sources": by_source(rows, {}),
        "failures": failures(rows),
        "groups": clusters and clusters | {"pictures": scaffolds(clusters, domain)},
        "distributions": distributions(best, [], beside, domain),
        "best": best_shown(rows, beside, domain),
        "corpus": beside.corpus_name if beside.corpus else "",
        "structures": structures(rows, domain),
        "structure_file": domain.structure_file,
        "config": "",
        "command": "",
    }


def _curves(name: str, curves: Curves, rows: Rows, domain: Domain) -> dict[str, Any]:
    return {"name": name, "group": name, "curves": curves, "windows": over_time(rows, domain)}


def _sampled(rows: Rows) -> str:
    if rows.total == len(rows):
        return ""
    return (
        f"The record has {rows.total:,} rows. This page holds {len(rows):,}: the best 20,000, and "
        "of the others some, evenly over time. Counts and means are of these."
    )
