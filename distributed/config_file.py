"""Reads and writes the TOML file of a run. Every mistake in a file raises one sentence."""

from __future__ import annotations

import codecs
import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import tomli_w
from pydantic import BaseModel, ValidationError

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.given_parts import with_texts
from sequence_tutor.distributed.search_config import OtherProposerConfig, ProposersConfig


class ConfigError(ValueError):
    """A config that can't be run; the message names the file, the key and what is allowed."""


# Text encodings by byte order mark. UTF-32 comes first, as its mark begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}


def load_config(path: str | Path, overrides: list[str] | None = None) -> RunConfig:
    """Read and check a TOML file; `overrides` are "table.key=value" in TOML. Raises ConfigError."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"there is no config file {path}")
    data = read_toml(path.read_bytes(), str(path))
    for override in overrides or []:
        _apply(data, override)
    return parse_config(data, str(path))


def read_toml(content: bytes, origin: str) -> dict[str, Any]:
    """The tables of a TOML file. The text is in UTF-8, or in the encoding of its byte order mark,
    which Windows programs write. Raises ConfigError."""
    encoding = next((e for mark, e in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{origin} is not text in UTF-8, as TOML is (line {line} isn't); save it as UTF-8"
        ) from error
    if "\0" in text:
        raise ConfigError(f"{origin} is not text in UTF-8, as TOML is; save it as UTF-8")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin} is not valid TOML: {error}") from error
    except RecursionError:
        raise ConfigError(f"{origin} is not valid TOML: it is nested too deeply") from None


def parse_config(data: dict[str, Any], origin: str = "config") -> RunConfig:
    """Check a config given as nested dicts. Raises ConfigError naming the first wrong key."""
    try:
        run = RunConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{origin}: {sentence(error)}") from error
    try:
        return with_texts(run)
    except ValueError as error:
        raise ConfigError(f"{origin}: generate.{error}") from error


def synchronous(run: RunConfig) -> RunConfig:
    """The same run in synchronous mode. Raises ConfigError if its settings don't allow that."""
    fields = {name: getattr(run, name) for name in RunConfig.model_fields}
    try:
        return RunConfig(**fields | {"mode": "synchronous"})
    except ValidationError as error:
        raise ConfigError(sentence(error)) from error


def _apply(data: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override!r}: write it as table.key=value")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        parsed = value  # a bare word is a string, so that shells need no second pair of quotes
    *tables, last = key.strip().split(".")
    for table in tables:
        data = data.setdefault(table, {})
        if not isinstance(data, dict):
            raise ConfigError(f"--set {override!r}: {table} is not a table")
    data[last] = parsed


def sentence(error: ValidationError) -> str:
    """The first problem of a config as one sentence: the key, what is wrong, what is allowed."""
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"]) or "the file"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        allowed = _allowed_keys(problem["loc"][:-1])
        hint = _hint(str(problem["loc"][-1]), allowed) or _proposer_hint(problem["loc"][:-1])
        return f"unknown key {where}{hint} (allowed: {', '.join(allowed)})"
    if problem["type"] == "model_type":
        return _no_table(problem["loc"], where, problem["input"])
    if problem["type"] == "missing":
        return f"{where} is missing"
    if problem["type"].startswith("value_error"):
        return message if where == "the file" else f"{where}: {message}"
    return f"{where}: {message} (got {problem['input']!r})"


def _hint(key: str, allowed: list[str]) -> str:
    near = difflib.get_close_matches(key, allowed, 1)
    return f"; did you mean {near[0]}?" if near else ""


def _proposer_hint(tables: tuple[int | str, ...]) -> str:
    """A hint where a table isn't a shipped proposer's, but is called nearly as one."""
    if len(tables) != 2 or tables[0] != "proposers" or tables[1] in ProposersConfig.model_fields:
        return ""
    near = difflib.get_close_matches(str(tables[1]), ProposersConfig.model_fields, 1)
    return f"; did you mean [proposers.{near[0]}]?" if near else ""


def _no_table(location: tuple[int | str, ...], where: str, given: Any) -> str:
    """The sentence for a value where a table belongs."""
    if _field_of(location) is not None:
        return f"{where} is a table: write [{where}], not a value (got {given!r})"
    # a key of [proposers] that is none of its own may be the name of another package's proposer
    hint = _hint(str(location[-1]), _allowed_keys(location[:-1]))
    allowed = ", ".join(_allowed_keys(location[:-1]))
    return f"unknown key {where}{hint} (allowed: {allowed}, and tables of other proposers)"


def _allowed_keys(tables: tuple[int | str, ...]) -> list[str]:
    model = table_model(tables)
    return [] if model is None else [f.alias or name for name, f in model.model_fields.items()]


def _field_of(location: tuple[int | str, ...]) -> Any:
    model = table_model(location[:-1])
    return None if model is None else model.model_fields.get(str(location[-1]))


def table_model(tables: Sequence[int | str]) -> type[BaseModel] | None:
    """What describes a table of the file, such as ("proposers", "genetic"); None where there is no
    such table. A name that [proposers] doesn't have stands for a proposer of another package."""
    model: type[BaseModel] = RunConfig
    for table in tables:
        if isinstance(table, int):  # the place in a list of tables
            continue
        field = model.model_fields.get(str(table))
        if field is None and model is ProposersConfig:
            model = OtherProposerConfig
            continue
        kinds = [field.annotation, *get_args(field.annotation)] if field else []
        found = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not found:
            return None
        model = found[0]
    return model


def to_toml(config: RunConfig) -> str:
    """The resolved config as TOML; values that are None are left out."""
    return tomli_w.dumps(config.model_dump(by_alias=True, mode="json", exclude_none=True))
