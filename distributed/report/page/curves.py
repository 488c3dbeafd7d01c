"""Learning curves of a run: what its metrics said at up to some hundred moments."""

from __future__ import annotations

import json
import math
from typing import Any

from sequence_tutor.distributed.report.page.rows import RunPart, evenly
from sequence_tutor.policies.files.storage import Location

# Moments that a curve has at most.
POINTS = 300
# Fields of `Metrics` that a page shows over the scores paid.
FIELDS = (
    "reward_mean",
    "reward_top10",
    "kl_to_prior",
    "valid_share",
    "repeated_share",
    "temperature",
    "groups",
    "updates",
    "elapsed_s",
    "staleness",
    "sequences",
)

Curves = dict[str, list[float]]


def read_curves(parts: list[RunPart]) -> tuple[Curves, dict[str, Any]]:
    """Numbers by field, and "scores_used" for the horizontal axis; and the last metrics, with the
    scores and seconds of all parts. Both empty where no metrics were written yet."""
    curves: Curves = {name: [] for name in ("scores_used", *FIELDS)}
    last: dict[str, Any] = {}
    scores, seconds = 0.0, 0.0
    for part in parts:
        ticks = _ticks(part.where / "metrics.jsonl", max(2, POINTS // len(parts)))
        for tick in ticks:
            for name, values in curves.items():
                values.append(_number(tick.get(name)))
            curves["scores_used"][-1] += scores
            curves["elapsed_s"][-1] += seconds
        if ticks:
            last = dict(ticks[-1])
            scores, seconds = curves["scores_used"][-1], curves["elapsed_s"][-1]
            last["scores_used"], last["elapsed_s"] = scores, seconds
    return (curves, last) if last else ({}, {})


def _ticks(file: Location, most: int) -> list[dict[str, Any]]:
    """Up to `most` ticks of a file of metrics, spread evenly, the last one included; a line that is
    being written is left out."""
    if not file.is_file():
        return []
    lines = file.read().split(b"\n")
    lines = [line for line in lines if line.endswith(b"}")]
    found = []
    for number in evenly(len(lines), most).tolist():
        try:
            found.append(json.loads(lines[number]))
        except ValueError:
            continue
    return found


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan
