"""Whether a run may start or resume in a directory, and which settings may change on resume."""

from __future__ import annotations

import re
from typing import Any

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, parse_config, read_toml
from sequence_tutor.policies.files.storage import Location, Where
from sequence_tutor.rewards.config import without_limits

# Keys, or whole tables, that may change on resume.
MAY_CHANGE = (
    "stop",
    "actors",
    "scorers",
    "checkpoint",
    "tracking",
    "wait_s",
    "learner.threads",
    "learner.resources",
    "replay.resources",
    "replay.flush_s",
    "replay.lease_s",
    "reward.timeout_s",
    "reward.memory_mb",
    "reward.retries",
    "reward.waiting",
)
# Keys that may change on resume in asynchronous mode only: they change a synchronous run's results.
ASYNCHRONOUS_ONLY = (
    "proposers",
    "screen",
    "diversity",
    "replay.shards",
    "replay.memory_rows",
    "learner.gpus",
)
# How the key of a stage begins.
_OF_A_STAGE = re.compile(r"^stage\[\d+\]\.")


def config_of(where: Where) -> RunConfig:
    """The config of a run, or of the record of `score`. Raises ConfigError."""
    file = Location(where) / "config.toml"
    if not file.is_file():
        raise ConfigError(f"there is no config file {file}")
    return parse_config(read_toml(file.read(), str(file)), str(file))


def check_directory(run: RunConfig, where: Where, resume: bool) -> None:
    """Raises ConfigError where a run may not start, or resume, in a directory, and OSError where
    storage can't be used. Leaves nothing in the directory."""
    out = Location(where)
    if not out.is_local:
        out.check_writable()
    if not resume:
        if out.is_taken():
            raise ConfigError(f"{out} exists already; choose another --out, or --resume it")
        return
    if not (out / "config.toml").is_file():
        raise ConfigError(f"{out} holds no run to resume")
    may = MAY_CHANGE + (() if run.mode == "synchronous" else ASYNCHRONOUS_ONLY)
    before, now = flat_config(config_of(out)), flat_config(run)
    changed = [
        f"{key} (was {before.get(key)!r}, is {now.get(key)!r})"
        for key in dict.fromkeys([*before, *now])
        if before.get(key) != now.get(key) and not _is_among(key, may)
    ]
    if changed:
        raise ConfigError(
            f"{out} was run with another {', '.join(changed)}; only {', '.join(may)} may change "
            "on resume"
        )


def flat_config(run: RunConfig) -> dict[str, Any]:
    """The keys of a run with their values, without the limits of components."""
    tables = run.model_dump(mode="json", by_alias=True)
    tables["reward"]["component"] = list(map(without_limits, tables["reward"]["component"]))
    return _flat(tables)


def _flat(tables: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one table with dotted keys, and with a number for each table of a list; any
    other list is a value."""
    values: dict[str, Any] = {}
    for key, value in tables.items():
        if isinstance(value, dict):
            values |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            values |= _flat({f"{key}[{n}]": one for n, one in enumerate(value)}, prefix)
        else:
            values[prefix + key] = value
    return values


def _is_among(key: str, names: tuple[str, ...]) -> bool:
    """Whether a key, or the key that a stage changes, is one of the names or in one of the
    tables."""
    key = _OF_A_STAGE.sub("", key)
    return any(key == name or key.startswith(f"{name}.") for name in names)
