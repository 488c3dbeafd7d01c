"""Writes the table of docs/config.md from the descriptions in distributed/config.py.

    python docs/config_table.py

A test compares the two.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sequence_tutor.distributed.config import RunConfig

PAGE = Path(__file__).with_name("config.md")
BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def table() -> str:
    """One row for each key, in the order of the file."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in RunConfig.model_fields.items():
        model = field.annotation
        if name == "reward":
            lines.append("| `[reward]` | | What is optimised; see [rewards.md](rewards.md). |")
        elif isinstance(model, type) and issubclass(model, BaseModel):
            lines += [_row(f"{name}.{f.alias or n}", f) for n, f in model.model_fields.items()]
        else:
            lines.append(_row(name, field))
    return "\n".join(lines)


def _row(key: str, field: FieldInfo) -> str:
    words = re.sub(r"\s+", " ", field.description or "")
    return f"| `{key}` | {_default(field.default)} | {words} |"


def _default(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:g}"
    return f"`{json.dumps(value)}`"


def page() -> str:
    """The page with the table of now."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
