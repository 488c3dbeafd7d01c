"""Checkpoints: tensors as safetensors and the rest as JSON, whole or not there at all.

A checkpoint directory is written under a temporary name, gets its `_COMPLETE` marker last and is
then renamed; readers take the newest that has the marker.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

TENSORS, STATE, MARKER = "learner.safetensors", "state.json", "_COMPLETE"


def write(directory: Path, tensors: dict[str, np.ndarray], state: dict[str, Any]) -> None:
    """Fill a directory that exists or not."""
    directory.mkdir(parents=True, exist_ok=True)
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, directory / TENSORS)
    (directory / STATE).write_text(json.dumps(state, indent=1) + "\n")
    (directory / MARKER).touch()


def read(directory: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and state of a complete checkpoint. Raises FileNotFoundError."""
    if not (directory / MARKER).is_file():
        raise FileNotFoundError(f"{directory} is not a complete checkpoint")
    return load_file(directory / TENSORS), json.loads((directory / STATE).read_text())


def save(root: Path, tensors: dict[str, np.ndarray], state: dict[str, Any], keep: int) -> Path:
    """Write `root`/<updates>, atomically, and remove all but the newest `keep`."""
    final = root / f"{state['updates']:09d}"
    temporary = root / f".{final.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    write(temporary, tensors, state)
    shutil.rmtree(final, ignore_errors=True)
    os.replace(temporary, final)
    for old in complete(root)[:-keep]:
        shutil.rmtree(old)
    return final


def complete(root: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    if not root.is_dir():
        return []
    return sorted(p for p in root.iterdir() if p.name.isdigit() and (p / MARKER).is_file())
