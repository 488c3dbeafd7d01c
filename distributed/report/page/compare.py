"""Several runs on one page: how they differ, what each found, and what more than one found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.report.page.facts import BEST
from sequence_tutor.distributed.report.page.rows import Rows, RunPart, read_rows
from sequence_tutor.distributed.run_directory.resume import flat_config
from sequence_tutor.rewards.base import Domain

# Sequences found by more than one run that are listed.
SHARED = 20


def groups_of(configs: Sequence[RunConfig], names: Sequence[str]) -> list[str]:
    """The name of each run's group: runs that differ in their seed alone have the first one's."""
    found: dict[str, str] = {}
    groups = []
    for config, name in zip(configs, names, strict=True):
        same = config.model_copy(update={"seed": 0}).model_dump_json(by_alias=True)
        groups.append(found.setdefault(same, name))
    return groups


def differences(configs: Sequence[RunConfig]) -> list[dict[str, Any]]:
    """The keys in which the configs differ, with the value of each run as text; "" for none."""
    flat = [flat_config(config) for config in configs]
    found = []
    for key in dict.fromkeys(key for one in flat for key in one):
        values = ["" if one.get(key) is None else str(one[key]) for one in flat]
        if len(set(values)) > 1:
            found.append({"key": key, "values": values})
    return found


def numbers_of(
    rows: Rows, last: Mapping[str, Any], diversity: Sequence[float | None], domain: Domain
) -> dict[str, float]:
    """What a run is judged by, NaN for what isn't known. last: its last metrics; diversity: over
    windows of its scores."""
    rewards = rows.numbers["reward"]
    at = rows.best(BEST)
    best = rewards[at]
    status = np.array(rows.words["status"], object)
    invalid, failed = (status == "invalid").sum(), (status != "ok").sum()
    with domain.quiet():
        practical = [domain.practical(key) for key in rows.keys(at)]
    return {
        "scores": float(rows.numbers["order"].max(initial=0.0)),
        "best": float(best[0]) if len(best) else np.nan,
        "mean of the best ten": float(best[:10].mean()) if len(best) else np.nan,
        "mean of the best 100": float(best.mean()) if len(best) else np.nan,
        "mean of the best ten, averaged over the run": _running(rewards[rows.valid]),
        "of the best 100 pass the usual filters, %": 100.0 * _share(practical),
        "diversity at the end": _known(diversity[-1] if diversity else None),
        "invalid, %": 100.0 * float(invalid) / len(rows),
        "failed, %": 100.0 * float(failed - invalid) / len(rows),
        "KL to the prior, nats": _known(last.get("kl_to_prior")),
        "updates": _known(last.get("updates")),
        "minutes": _known(last.get("elapsed_s")) / 60,
    }


def _share(yes: list[bool]) -> float:
    return sum(yes) / len(yes) if yes else np.nan


def _known(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _running(rewards: np.ndarray) -> float:
    """The mean of the best ten so far, averaged over all scores."""
    if not len(rewards):
        return np.nan
    best: list[float] = []
    total = 0.0
    for reward in rewards.tolist():
        if len(best) < 10 or reward > best[0]:
            best = sorted([*best, reward])[-10:]
        total += sum(best) / len(best)
    return total / len(rewards)


def table_of(groups: Sequence[str], numbers: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """A line for each number: the mean over the runs of each group and, of several runs, their
    standard deviation."""
    lines = []
    for name in numbers[0]:
        values = []
        for group in dict.fromkeys(groups):
            own = np.array([n[name] for n, g in zip(numbers, groups, strict=True) if g == group])
            known = own[np.isfinite(own)]
            values.append(
                {
                    "mean": float(known.mean()) if len(known) else None,
                    "spread": float(known.std(ddof=1)) if len(known) > 1 else None,
                }
            )
        lines.append({"name": name, "values": values})
    return lines


def shared(names: Sequence[str], several: Sequence[Rows]) -> dict[str, Any]:
    """The valid sequences that more than one run found: how many, and the best with their reward in
    each run."""
    rewards: dict[str, dict[str, float]] = {}
    for name, rows in zip(names, several, strict=True):
        keys = rows.words["key"]
        for row in np.flatnonzero(rows.valid).tolist():
            rewards.setdefault(keys[row], {}).setdefault(name, float(rows.numbers["reward"][row]))
    both = {key: found for key, found in rewards.items() if len(found) > 1}
    best = sorted(both, key=lambda key: -max(both[key].values()))[:SHARED]
    return {
        "count": len(both),
        "names": list(names),
        "best": [{"key": key, "rewards": [both[key].get(name) for name in names]} for key in best],
    }


def rows_of(name: str, parts: list[RunPart]) -> Rows:
    """The rows of a run under its name on the page. Raises ConfigError."""
    return read_rows([part._replace(name=name) for part in parts])


def joined(several: Sequence[Rows]) -> Rows:
    """The rows of several runs as one; columns that one lacks are empty there."""
    sizes = [len(rows) for rows in several]
    words = {
        name: [
            text
            for rows, size in zip(several, sizes, strict=True)
            for text in rows.words.get(name, [""] * size)
        ]
        for name in dict.fromkeys(name for rows in several for name in rows.words)
    }
    numbers = {
        name: np.concatenate(
            [
                rows.numbers.get(name, np.full(size, np.nan))
                for rows, size in zip(several, sizes, strict=True)
            ]
        )
        for name in dict.fromkeys(name for rows in several for name in rows.numbers)
    }
    return replace(several[0], words=words, numbers=numbers, total=sum(r.total for r in several))
