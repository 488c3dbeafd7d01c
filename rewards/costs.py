"""How long components take, as measured by `docs/component_tables.py --measure`."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files


@cache
def costs(domain: str) -> dict[str, float]:
    """Measured microseconds for a sequence, by component; empty for a domain without the file."""
    path = files("sequence_tutor.rewards") / domain / "costs.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
