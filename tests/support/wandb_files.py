"""Reads what a run of Weights & Biases has left on this machine in offline mode.

Its .wandb file is a log of LevelDB's format behind 7 bytes: blocks of 32 KiB with records, or parts
of records, of a checksum (4 bytes), a length (2), a kind (1; 1 is whole, 4 a last part) and data.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK, BEFORE, HEAD = 32 << 10, 7, 7


@dataclass
class OfflineRun:
    """What a run has logged."""

    id: str = ""
    name: str = ""
    project: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    exit_code: int | None = None


def offline_run(path: Path) -> OfflineRun:
    """Read a .wandb file."""
    run = OfflineRun()
    for record in _records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.id, run.name = record.run.run_id, record.run.display_name
            run.project = record.run.project
            run.config |= {one.key: json.loads(one.value_json) for one in record.run.config.update}
        elif kind == "history":
            items = record.history.item
            run.history.append(
                {one.key or "/".join(one.nested_key): json.loads(one.value_json) for one in items}
            )
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _records(path: Path) -> Iterator[Any]:
    from wandb.proto import wandb_internal_pb2

    data, at, whole = path.read_bytes(), BEFORE, b""
    while at + HEAD <= len(data):
        if (left := BLOCK - at % BLOCK) < HEAD:
            at += left
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        whole += data[at + HEAD : at + HEAD + size]
        at += HEAD + size
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            whole = b""
            yield record
