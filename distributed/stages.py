"""The stages of a run: one config after the other, with one policy.

Each stage is a run of its own, in RUN/stage-1, RUN/stage-2 and so on: the whole config with what
its [[stage]] changes. It begins with the policy of the one before and with its scores, computed
anew from their raw values where the goal is another.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, sentence
from sequence_tutor.distributed.given_parts import with_texts
from sequence_tutor.distributed.stage_config import StageConfig
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.rewards.names import unknown

# Folder of a stage in the run directory.
STAGE = "stage-{}"
# Settings of the learner that a stage can't change: the networks and their optimisers go on.
_KEPT = ("algorithm", "population")


def stage_runs(run: RunConfig) -> list[RunConfig]:
    """The run of each stage, in order. Raises ConfigError that names the stage."""
    found = []
    for number, stage in enumerate(run.stage, start=1):
        try:
            found.append(_stage_run(run, stage, last=number == len(run.stage)))
        except ValidationError as error:
            raise ConfigError(f"stage {number}: {sentence(error)}") from error
        except ValueError as error:
            raise ConfigError(f"stage {number}: {error}") from error
    return found


def _stage_run(run: RunConfig, stage: StageConfig, last: bool) -> RunConfig:
    if not last and not {"scores", "updates", "seconds"} & set(stage.stop):
        raise ValueError(
            "it might never end: give stop.scores, stop.updates or stop.seconds of its own; "
            "stop.reward and stop.plateau end it earlier"
        )
    for key in _KEPT:
        if key in stage.learner:
            raise ValueError(f"learner.{key} is the same in all stages: set it in [learner]")
    tables = run.model_dump(by_alias=True, exclude_none=True, exclude={"stage"})
    if stage.components is not None:
        names = [one.label or one.name for one in run.reward.component]
        for name in stage.components:
            if name not in names:
                raise ValueError(unknown("component of [reward]:", name, names))
        pairs = zip(names, tables["reward"]["component"], strict=True)
        tables["reward"]["component"] = [one for name, one in pairs if name in stage.components]
    if "kl" in stage.learner:
        tables["learner"].pop("temperature", None)
    if "temperature" in stage.learner:
        tables["learner"].pop("kl", None)
    for name, changes in stage.tables.items():
        tables[name] = merged(tables.get(name, {}), changes)
    return with_texts(RunConfig.model_validate(tables))


def run_directories(out: Location, run: RunConfig) -> list[Location]:
    """The directory of a run, or those of its stages that have begun, in order."""
    if not run.stage:
        return [out]
    stages = [out / STAGE.format(number) for number in range(1, len(run.stage) + 1)]
    return [stage for stage in stages if (stage / "config.toml").is_file()]


def merged(table: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A table with other values of some keys; tables in it are merged too."""
    found = dict(table)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = merged(found[key], value) if both else value
    return found
