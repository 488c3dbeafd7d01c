"""Remarks about the machines on which a run starts."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import ray
from rich.console import Console

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.ray_cluster.join import tell_of_gpus


@pytest.mark.parametrize(
    ("gpus", "changes", "mentioned"),
    [
        (2.0, {}, True),
        (0.0, {}, False),
        (2.0, {"learner": {"gpus": 1}}, False),
        (2.0, {"actors": {"gpus": 0.5}}, False),
        (2.0, {"mode": "synchronous"}, False),  # can't use a GPU
    ],
)
def test_unused_gpus_are_mentioned(
    make_run: Callable[..., RunConfig],
    monkeypatch: pytest.MonkeyPatch,
    gpus: float,
    changes: dict[str, Any],
    mentioned: bool,
):
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 8.0, "GPU": gpus})
    output = io.StringIO()
    tell_of_gpus(make_run(**({"mode": "asynchronous"} | changes)), Console(file=output))
    assert ("2 GPUs are here and not asked for" in output.getvalue()) == mentioned


def test_one_gpu_is_mentioned_in_the_singular(
    make_run: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 8.0, "GPU": 1.0})
    output = io.StringIO()
    tell_of_gpus(make_run(mode="asynchronous"), Console(file=output))
    assert "1 GPU is here and not asked for" in output.getvalue()
