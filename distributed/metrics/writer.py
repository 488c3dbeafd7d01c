"""Writes the metrics of a run: a line of JSON per tick, and TensorBoard."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from sequence_tutor.distributed.metrics.numbers import numbers
from sequence_tutor.distributed.metrics.tally import Metrics
from sequence_tutor.policies.files.storage import Location


class MetricsWriter:
    """Appends each tick to `metrics.jsonl` and to TensorBoard event files under `tensorboard/`.

    A run that resumes after `iteration` ticks and `updates` updates drops the later ticks, and an
    incomplete line of a killed driver.
    """

    def __init__(self, directory: Path, iteration: int = 0, updates: int = 0) -> None:
        path = directory / "metrics.jsonl"
        kept = _ticks_until(path, iteration)
        Location(path).write("".join(f"{line}\n" for line in kept))
        self._lines = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(directory / "tensorboard"), purge_step=updates + 1)

    def write(self, metrics: Metrics) -> None:
        # JSON has no NaN: a number that isn't known yet is null
        values = asdict(metrics)
        known: dict[str, Any] = {
            k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()
        }
        self._lines.write(json.dumps(known) + "\n")
        self._lines.flush()
        for name, value in numbers(metrics).items():
            self._board.add_scalar(name, value, metrics.updates)

    def flush(self) -> None:
        """Write all buffered metrics to the files."""
        self._lines.flush()
        self._board.flush()

    def close(self) -> None:
        self._lines.close()
        self._board.close()


def _ticks_until(path: Path, iteration: int) -> list[str]:
    """The complete lines of ticks up to this one."""
    kept: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            if json.loads(line)["iteration"] <= iteration:
                kept.append(line)
        except (ValueError, KeyError):
            continue
    return kept
