"""One of the newest metrics of a run, from its directory."""

from __future__ import annotations

import json

from sequence_tutor.policies.files.storage import Location


def last_metric(directory: Location, name: str) -> float | None:
    """A number in the last whole line of RUN/metrics.jsonl that has it; None without one."""
    file = directory / "metrics.jsonl"
    if not file.is_file():
        return None
    for line in reversed(file.read().decode("utf-8", "replace").splitlines()):
        try:
            number = json.loads(line)[name]
        except (ValueError, KeyError, TypeError):  # an incomplete line
            continue
        if isinstance(number, (int, float)):
            return number
    return None
