"""Writes the table of docs/config.md from the descriptions in distributed/config.py,
learner_config.py and search_config.py.

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
from pydantic_core import PydanticUndefined

from sequence_tutor.distributed.config import KindConfig, RunConfig
from sequence_tutor.distributed.config_file import table_model
from sequence_tutor.distributed.search_config import OtherProposerConfig, ProposersConfig

PAGE = Path(__file__).with_name("config.md")
BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def table() -> str:
    """One row for each key, in the order of the file."""
    return "\n".join(["| key | default | meaning |", "|---|---|---|", *_rows(RunConfig, ())])


def _rows(model: type[BaseModel], tables: tuple[str, ...]) -> list[str]:
    """Rows of a table's keys and of the tables in it; of an optional table a row for itself too."""
    lines = []
    for name, field in model.model_fields.items():
        where = (*tables, field.alias or name)
        inner = table_model(where)
        if where == ("kind",):
            where = ("KIND",)
            lines += [_table_row(where, KindConfig), *_rows(KindConfig, where)]
        elif where == ("reward",):
            lines.append("| `[reward]` | | What is optimised; see [rewards.md](rewards.md). |")
        elif inner is None:
            lines.append(_row(".".join(where), field))
        else:
            if field.default is None:
                lines.append(_table_row(where, inner))
            lines += _rows(inner, where)
    if model is ProposersConfig:
        where = (*tables, "NAME")
        lines += [_table_row(where, OtherProposerConfig), *_rows(OtherProposerConfig, where)]
    return lines


def _table_row(where: tuple[str, ...], model: type[BaseModel]) -> str:
    return f"| `[{'.'.join(where)}]` | | {' '.join((model.__doc__ or '').split())} |"


def _row(key: str, field: FieldInfo) -> str:
    words = re.sub(r"\s+", " ", field.description or "")
    return f"| `{key}` | {_default(field.default)} | {words} |"


def _default(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f"`{json.dumps(value)}`"
    if isinstance(value, int):
        return str(value)
    if value is PydanticUndefined:
        return "required"
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
