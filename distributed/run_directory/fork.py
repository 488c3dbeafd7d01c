"""Which run and checkpoint a run goes on from: `optimize --from`.

RUN/from.json of the new run says it, so that a resumed run knows it without the option.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError
from sequence_tutor.distributed.run_directory.checkpoint import Checkpoint, complete, read
from sequence_tutor.distributed.run_directory.resume import config_of
from sequence_tutor.distributed.stages import run_directories
from sequence_tutor.policies.files.storage import Location, Where

# File in the run directory.
FILE = "from.json"
CHECKPOINTS = "checkpoints"
# What may not differ, as the networks go on.
_SAME = ("encoding", "prior")


@dataclass(frozen=True)
class Origin:
    """Where a run goes on from."""

    run: str
    """The directory or URI of the earlier run."""
    checkpoint: str
    """The directory or URI of the checkpoint whose policy it begins with."""
    updates: int
    """How many updates that policy had."""

    def read(self) -> Checkpoint:
        """The checkpoint. Raises CheckpointError."""
        return read(self.checkpoint)

    def write(self, out: Location) -> None:
        """Put it into the directory of the new run."""
        (out / FILE).write(json.dumps(asdict(self), indent=1) + "\n")


def origin_of(out: Location) -> Origin | None:
    """Where the run in a directory came from; None where it came from no other. Raises ConfigError
    for a file that can't be read."""
    file = out / FILE
    if not file.is_file():
        return None
    try:
        return Origin(**json.loads(file.read()))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{file} doesn't say where the run came from: {error}") from error


def find_origin(where: Where, at: str | None, run: RunConfig) -> Origin:
    """The last checkpoint of a run, of its last stage that has one, or the one that `at` names: by
    its directory or by its number of updates. Raises ConfigError where `run` can't go on from it.
    """
    directory = Location(where)
    config = config_of(directory)
    for key in _SAME:
        before, now = getattr(config, key), getattr(run, key)
        if before != now:
            raise ConfigError(
                f"{key} = {now!r} can't go on from {directory}, whose {key} is {before!r}"
            )
    one, other = config.learner.algorithm, run.learner.algorithm
    if one != other and "g" in (one, other):
        raise ConfigError(
            f"learner.algorithm = {other!r} can't go on from {directory}, which has {one!r}: the "
            "networks of 'g' correct the prior"
        )
    found = [
        saved
        for stage in run_directories(directory, config)
        for saved in complete(stage / CHECKPOINTS)
    ]
    if not found:
        raise ConfigError(f"{directory} has no checkpoint to go on from")
    if at is None:
        chosen = found[-1]
    else:
        named = [one for one in found if at in (one.name, str(_updates(one)))]
        if not named:
            has = ", ".join(f"{one.name} ({_updates(one):,} updates)" for one in found)
            raise ConfigError(f"{directory} has no checkpoint {at}; it has {has}")
        chosen = named[-1]
    return Origin(directory.uri, chosen.uri, _updates(chosen))


def _updates(saved: Location) -> int:
    return int(saved.name.partition("-")[0])
