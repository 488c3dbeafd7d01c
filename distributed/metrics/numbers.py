"""The numbers of a tick, as TensorBoard, MLflow and Weights & Biases take them."""

from __future__ import annotations

import math
from dataclasses import asdict

from sequence_tutor.distributed.metrics.tally import Metrics


def numbers(metrics: Metrics) -> dict[str, float]:
    """The numbers of a tick that are known, by name."""
    values = asdict(metrics)
    for source, counts in values.pop("sources").items():
        values |= {f"sources/{source}/{field}": count for field, count in counts.items()}
    return {name: value for name, value in values.items() if not math.isnan(value)}
