"""Reads REINVENT4's config files, and the files with scoring components that they name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sequence_tutor.distributed.config_file import ConfigError, read_toml
from sequence_tutor.rewards.reinvent.notes import ConversionError


def read(path: Path, kind: str | None = None) -> dict[str, Any]:
    """The tables of a file in TOML or JSON, by its ending or by `kind`. Raises ConversionError."""
    if not path.is_file():
        raise ConversionError(f"there is no file {path}")
    kind = (path.suffix.lstrip(".") if path.suffix in (".toml", ".json") else kind) or "toml"
    if kind not in ("toml", "json"):
        raise ConversionError(f"{path} is {kind}, and only TOML and JSON are read: save it as TOML")
    content = path.read_bytes()
    if kind == "toml":
        try:
            return read_toml(content, str(path))
        except ConfigError as error:
            raise ConversionError(str(error)) from error
    try:
        tables = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConversionError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(tables, dict):
        raise ConversionError(f"{path} is no config: it holds no table")
    found: dict[str, Any] = _without_nulls(tables)
    return found


def _without_nulls(value: Any) -> Any:
    """A value without the keys that JSON has as null, which are keys left out in TOML."""
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def with_its_file(section: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A scoring section with what the file says that it names, which counts where both say it. A
    path is relative to the working directory, as there, or to the config's folder. Raises
    ConversionError."""
    name = section.get("filename")
    if not name:
        return section
    if not isinstance(name, str):
        raise ConversionError(f"scoring.filename must be a path, not {name!r}")
    path = Path(name) if Path(name).is_file() else folder / name
    kind = section.get("filetype")
    return section | read(path, None if kind is None else str(kind))
