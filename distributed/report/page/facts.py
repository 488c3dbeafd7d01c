"""What a page says of the rows of a run: by proposer, by component, by failure, by group."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sequence_tutor.distributed.report.page.rows import Rows, RunPart, evenly
from sequence_tutor.distributed.screening.tanimoto import Indicators
from sequence_tutor.rewards.base import Domain

# Windows of scores over which diversity is shown, and valid sequences compared in each: features
# take about a millisecond a molecule.
WINDOWS, COMPARED = 16, 48
# Examples of a failure, kinds of failures, and groups that are shown; best rows that are grouped.
EXAMPLES, KINDS, GROUPS, GROUPED = 3, 12, 60, 3000
# Rows that count as the best.
BEST = 100


def by_source(rows: Rows, last: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each proposer: sequences proposed and screened out (as the metrics say), rows by status,
    their mean and best reward, and rows among the best."""
    sources = np.array(rows.words["source"], object)
    status = np.array(rows.words["status"], object)
    best = Counter(sources[rows.best(BEST)].tolist())
    found = []
    for name in dict.fromkeys([*last.get("sources", {}), *sorted(set(sources.tolist()))]):
        own = sources == name
        counted = last.get("sources", {}).get(name, {})
        rewards = rows.numbers["reward"][own & rows.valid]
        statuses = Counter(status[own].tolist())
        found.append(
            {
                "name": name,
                "proposed": counted.get("proposed"),
                "screened_out": counted.get("screened_out"),
                "scored": int(own.sum()) - statuses["invalid"],
                "ok": statuses["ok"],
                "invalid": statuses["invalid"],
                "failed": int(own.sum()) - statuses["ok"] - statuses["invalid"],
                "mean": float(rewards.mean()) if len(rewards) else None,
                "best": float(rewards.max()) if len(rewards) else None,
                "among_best": best[name],
            }
        )
    return sorted(found, key=lambda one: -one["scored"])


def by_component(rows: Rows, parts: Sequence[RunPart]) -> list[dict[str, Any]]:
    """For each component: its settings, how many valid rows have its value, how many it gave 0, and
    its mean raw and transformed value over the valid rows and over the best."""
    configs = {one.label or one.name: one for part in parts for one in part.config.reward.component}
    best = rows.best(BEST)
    found = []
    for name in [n.removeprefix("raw.") for n in rows.numbers if n.startswith("raw.")]:
        raw = rows.numbers[f"raw.{name}"]
        transformed = rows.numbers.get(f"transformed.{name}", raw)
        config = configs.get(name)
        known = rows.valid & ~np.isnan(raw)
        found.append(
            {
                "name": name,
                "role": "" if config is None else config.role,
                "weight": None if config is None else config.weight,
                "transform": _transform(config),
                "called": int(known.sum()),
                "not_called": int((rows.valid & np.isnan(raw)).sum()),
                "zero": int((transformed[known] == 0).sum()),
                "mean": _mean(raw[known]),
                "mean_best": _mean(raw[best]),
                "transformed_mean": _mean(transformed[known]),
                "transformed_best": _mean(transformed[best]),
            }
        )
    return found


def _transform(config: Any) -> str:
    if config is None or config.transform is None:
        return ""
    options = config.transform.model_dump(exclude_none=True)
    name = options.pop("type")
    return f"{name}({', '.join(f'{key} {value}' for key, value in options.items())})"


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def failures(rows: Rows) -> list[dict[str, Any]]:
    """The kinds of invalid and failed rows, the most frequent first: their status, what went wrong,
    how many, and examples. Errors that differ in numbers and quoted texts alone are of a kind."""
    kinds: dict[tuple[str, str], list[int]] = {}
    for row, (status, error) in enumerate(
        zip(rows.words["status"], rows.words["error"], strict=True)
    ):
        if status != "ok":
            kinds.setdefault((status, _kind(error)), []).append(row)
    ordered = sorted(kinds.items(), key=lambda item: -len(item[1]))
    return [
        {
            "status": status,
            "kind": kind,
            "count": len(at),
            "examples": [
                {"sequence": rows.words["sequence"][i][:300], "error": rows.words["error"][i][:500]}
                for i in at[:EXAMPLES]
            ],
        }
        for (status, kind), at in ordered[:KINDS]
    ]


def _kind(error: str) -> str:
    line = error.split("\n")[0]
    line = re.sub(r"'[^']*'|\"[^\"]*\"", "'…'", line)
    return re.sub(r"\d+(\.\d+)?", "#", line)[:120]


def grouped(rows: Rows, parts: Sequence[RunPart], domain: Domain) -> dict[str, Any] | None:
    """The groups of the best rows, such as scaffolds, the largest first: their name, their rows
    among those that are grouped, their best and mean reward. None where the domain has no kind of
    group. Of a run with [diversity] its kind, else the domain's first."""
    chosen = [part.config.diversity.type for part in parts if part.config.diversity is not None]
    kind = chosen[-1] if chosen else next(iter(domain.groupings), "")
    if not kind:
        return None
    at = rows.best(GROUPED)
    recorded = rows.words.get(f"group.{kind}")
    members: dict[str, list[int]] = {}
    with domain.quiet():
        for row in at.tolist():
            name = recorded[row] if recorded else ""
            if not name:
                name = domain.group(rows.words["key"][row], kind)
            members.setdefault(name, []).append(row)
    rewards = rows.numbers["reward"]
    ordered = sorted(members.items(), key=lambda item: (-len(item[1]), -rewards[item[1][0]]))
    return {
        "kind": kind.replace("_", " ").replace("murcko", "Murcko"),
        "said": domain.groupings[kind].said,
        "grouped": len(at),
        "different": len(members),
        "clusters": [
            {
                "name": name,
                "count": len(own),
                "best": float(rewards[own[0]]),
                "mean": float(rewards[own].mean()),
                "rows": own,
            }
            for name, own in ordered[:GROUPS]
        ],
    }


def in_largest(rows: Rows, groups: Mapping[str, Any] | None) -> int:
    """How many of the best are in the largest group."""
    if groups is None or not groups["clusters"]:
        return 0
    own = set(groups["clusters"][0]["rows"])
    return sum(row in own for row in rows.best(BEST).tolist())


def over_time(rows: Rows, domain: Domain) -> dict[str, list[float | None]]:
    """Over windows of scores: the number of the last score, the mean reward, the mean of the best
    ten so far, the share that failed, and diversity: 1 - mean similarity of pairs of its valid
    sequences by the domain's features."""
    order = rows.numbers["order"]
    judged = np.flatnonzero(np.array([s != "invalid" for s in rows.words["status"]], bool))
    found: dict[str, list[float | None]] = {
        name: [] for name in ("order", "reward", "top10", "failed", "diversity")
    }
    if not len(judged):
        return found
    best = np.zeros(0)
    for window in np.array_split(judged, min(WINDOWS, len(judged))):
        ok = window[rows.valid[window]]
        rewards = rows.numbers["reward"][ok]
        best = np.sort(np.concatenate([best, rewards]))[-10:]
        found["order"].append(float(order[window[-1]]))
        found["reward"].append(_mean(rewards))
        found["top10"].append(_mean(best))
        found["failed"].append(1.0 - len(ok) / len(window))
        some = ok[evenly(len(ok), COMPARED)]
        found["diversity"].append(_diversity(rows.keys(some), domain))
    return found


def _diversity(keys: list[str], domain: Domain) -> float | None:
    keys = list(dict.fromkeys(keys))
    if len(keys) < 2:
        return None
    with domain.quiet():
        block = domain.features(keys)[0]
    kernel = Indicators(block).kernel(block)
    pairs = len(keys) * (len(keys) - 1)
    return float(1.0 - (kernel.sum() - np.trace(kernel)) / pairs)
