"""Checkpoints: tensors as safetensors, counters as JSON, the config as TOML; whole or not there.

A checkpoint directory is written under a temporary name, gets its `_COMPLETE` marker last and is
then renamed; readers take the newest that has the marker. The scores are not in it: they are on
record, of which it says how much was there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from sequence_tutor.distributed.files import sync

TENSORS, STATE, CONFIG, MARKER = "learner.safetensors", "state.json", "config.toml", "_COMPLETE"


class CheckpointError(ValueError):
    """A checkpoint that can't be read; the message names it and says what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """tensors: networks, optimiser moments and random state by name; counters of the run;
    live_rows: rows that each shard held, in its order on record; elapsed_s: seconds the run had
    taken; config: as TOML."""

    tensors: dict[str, np.ndarray]
    counters: dict[str, int]
    live_rows: list[int]
    elapsed_s: float
    config: str


def write(directory: Path, checkpoint: Checkpoint) -> None:
    """Fill a directory that exists or not; the marker comes when all else is on disk."""
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {k: np.ascontiguousarray(v) for k, v in checkpoint.tensors.items()}
    save_file(tensors, directory / TENSORS)
    state = {
        "counters": checkpoint.counters,
        "live_rows": checkpoint.live_rows,
        "elapsed_s": checkpoint.elapsed_s,
    }
    (directory / STATE).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    (directory / CONFIG).write_text(checkpoint.config, encoding="utf-8")
    for name in (TENSORS, STATE, CONFIG):
        sync(directory / name)  # a power cut must not leave a marker without files
    (directory / MARKER).touch()
    sync(directory)


def read(directory: Path) -> Checkpoint:
    """A complete checkpoint. Raises CheckpointError."""
    if not (directory / MARKER).is_file():
        raise CheckpointError(f"{directory} is not a complete checkpoint")
    try:
        state = json.loads((directory / STATE).read_text(encoding="utf-8"))
        return Checkpoint(
            tensors=load_file(directory / TENSORS),
            counters=state["counters"],
            live_rows=state["live_rows"],
            elapsed_s=state["elapsed_s"],
            config=(directory / CONFIG).read_text(encoding="utf-8"),
        )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise CheckpointError(
            f"the checkpoint {directory} can't be read ({error}); remove it to go on from the one "
            "before"
        ) from error


def save(root: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write `root`/UPDATES-SEQUENCES, atomically, and remove all but the newest `keep`."""
    counters = checkpoint.counters
    final = root / f"{counters['updates']:09d}-{counters['sequences']:012d}"
    if (final / MARKER).is_file():
        return final  # nothing has happened since
    temporary = root / f".{final.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    write(temporary, checkpoint)
    os.replace(temporary, final)
    sync(root)
    for old in complete(root)[:-keep]:
        shutil.rmtree(old)
    return final


def complete(root: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    if not root.is_dir():
        return []
    names = re.compile(r"\d{9}-\d{12}")
    found = (p for p in root.iterdir() if names.fullmatch(p.name))
    return sorted(p for p in found if (p / MARKER).is_file())
