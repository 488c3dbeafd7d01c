"""The screen as a Ray actor, between proposers and scorers."""

from __future__ import annotations

import os
import sys
import uuid
from dataclasses import replace
from typing import Any

import ray
import torch
from ray.exceptions import ObjectLostError, OwnerDiedError

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.given_parts import run_encoding
from sequence_tutor.distributed.packing import received, unpacked
from sequence_tutor.distributed.replay.ray_shards import ray_replay
from sequence_tutor.distributed.screening.screen import build_screen, equal_slices
from sequence_tutor.distributed.types import Generated, ScreenReport
from sequence_tutor.distributed.weight_board import fetch_prior
from sequence_tutor.policies.prior import as_tensors, build_prior


class ScreenProcess:
    """One process of the screen. What it learns from is in the shards, so a restarted one goes on.

    packed_run: the run, `sent`; shards: handles of the replay shards, `packed`; run_id:
    names the board that has the prior; directory: where the user started the run.
    """

    def __init__(
        self, packed_run: bytes, worker: int, shards: bytes, run_id: str, directory: str
    ) -> None:
        sys.path.append(directory)
        run: RunConfig = received(packed_run)
        self._id, self._calls = f"screen-{worker}-{uuid.uuid4().hex[:8]}", 0
        parts = fetch_prior(run_id)
        prior = build_prior(parts.metadata, as_tensors(parts.weights))
        prior.encoding = run_encoding(run, prior)
        torch.set_num_threads(1)
        screen = build_screen(run, prior, ray_replay(unpacked(shards)), directory)
        assert screen is not None
        self._screen = screen

    def choose(
        self, references: list[ray.ObjectRef], parts: int, iteration: int | None = None
    ) -> tuple[ScreenReport, list[tuple[Any, int]]]:
        """Choose among the episodes of batches. Returns the report for the driver, and the chosen
        in up to `parts` batches of about equal size: (reference, rows) each. With `iteration` the
        choice depends on the candidates, the record, the seed and the iteration alone, and raises
        OwnerDiedError or ObjectLostError where candidates are lost; without it, only where all of
        them are."""
        self._calls += 1
        if iteration is None:
            entropy, batches = [self._calls, int(self._id[-8:], 16)], present(references)
        else:
            entropy, batches = [iteration], ray.get(references)
        report, chosen = self._screen.choose(batches, entropy, self._id)
        report = replace(report, lost=len(references) - len(batches))
        return report, [(ray.put(part), len(part)) for part in equal_slices(chosen, parts)]

    def process_id(self) -> int:
        """The operating system's number of this process."""
        return os.getpid()


def present(references: list[ray.ObjectRef]) -> list[Generated]:
    """The batches without those that were lost with their node. Raises the error of the last one
    where all are lost."""
    batches, lost = [], None
    for reference in references:
        try:
            batches.append(ray.get(reference))
        except (OwnerDiedError, ObjectLostError) as error:
            lost = error
    if lost is not None and not batches:
        raise lost
    return batches
