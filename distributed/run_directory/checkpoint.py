"""Checkpoints: tensors as safetensors, counters as JSON, the config as TOML; whole or not there.

A checkpoint is a directory whose `_COMPLETE` marker is written last and removed first; readers take
the newest that has it. Scores aren't in it: they are on record, and it says how many rows were.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load
from safetensors.numpy import save as to_bytes

from sequence_tutor.policies.files.storage import Location, StorageError, Where

# Name of a checkpoint: UPDATES-SEQUENCES.
NAME = re.compile(r"\d{9}-\d{12}")
TENSORS, STATE, CONFIG, MARKER = "learner.safetensors", "state.json", "config.toml", "_COMPLETE"


class CheckpointError(ValueError):
    """A checkpoint can't be read; the text names it and says what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run, without its scores."""

    tensors: dict[str, np.ndarray]
    """Networks, optimiser moments and random state, by name."""
    counters: dict[str, int]
    """Counters of the run, by name."""
    live_rows: list[int]
    """By shard: how many rows of its record it had, void ones included."""
    elapsed_s: float
    """Seconds that the run had taken."""
    config: str
    """Config of the run, as TOML."""


def write(where: Where, checkpoint: Checkpoint) -> None:
    """Write a checkpoint into a directory, which is made where missing; the marker comes last."""
    directory = Location(where)
    directory.make()
    tensors = {k: np.ascontiguousarray(v) for k, v in checkpoint.tensors.items()}
    state = {
        "counters": checkpoint.counters,
        "live_rows": checkpoint.live_rows,
        "elapsed_s": checkpoint.elapsed_s,
    }
    (directory / TENSORS).write(to_bytes(tensors))
    (directory / STATE).write(json.dumps(state, indent=1) + "\n")
    (directory / CONFIG).write(checkpoint.config)
    (directory / MARKER).write(b"")


def read(where: Where) -> Checkpoint:
    """A complete checkpoint. Raises CheckpointError, or OSError where the storage fails."""
    directory = Location(where)
    if not (directory / MARKER).is_file():
        raise CheckpointError(f"{directory} is not a complete checkpoint")
    try:
        state = json.loads((directory / STATE).read())
        return Checkpoint(
            tensors=load((directory / TENSORS).read()),
            counters=state["counters"],
            live_rows=state["live_rows"],
            elapsed_s=state["elapsed_s"],
            config=(directory / CONFIG).read().decode("utf-8"),
        )
    except StorageError:
        raise  # else the user would be advised to remove a checkpoint that may be whole
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise CheckpointError(
            f"the checkpoint {directory} can't be read ({error}); remove it to go on from the one "
            "before"
        ) from error


def save(where: Where, checkpoint: Checkpoint, keep: int) -> Location:
    """Write a checkpoint UPDATES-SEQUENCES into a directory. Then remove all but the newest `keep`,
    and incomplete ones."""
    root, counters = Location(where), checkpoint.counters
    final = root / f"{counters['updates']:09d}-{counters['sequences']:012d}"
    if (final / MARKER).is_file():
        return final  # the run has done nothing since
    write(final, checkpoint)
    kept = complete(root)[-keep:]
    for name in filter(NAME.fullmatch, root.names()):
        if (old := root / name) not in kept:
            (old / MARKER).remove()
            old.remove()
    return final


def complete(where: Where) -> list[Location]:
    """Complete checkpoints, oldest first."""
    root = Location(where)
    found = (root / name for name in filter(NAME.fullmatch, root.names()))
    return [checkpoint for checkpoint in found if (checkpoint / MARKER).is_file()]
