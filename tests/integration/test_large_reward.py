"""A reward that is larger than what Ray sends with a call."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import ray

from sequence_tutor.distributed.packing import TRAVELS, is_large, received, sent

SCRIPT = """
import sys
import numpy as np
from sequence_tutor.distributed import optimize

TABLE = np.arange(200_000.0)  # goes with the function

def carbons(smiles):
    return float(TABLE[smiles.count("C")])

config = {
    "prior": sys.argv[1],
    "reward": {"component": [{"name": "python", "function": carbons}]},
    "learner": {"temperature": 1.0, "threads": 1},
    "actors": {"batch": 16},
    "proposers": {"genetic": {"batch": 16}},
    "screen": {"batch": 16, "start": 16},
    "stop": {"scores": 30},
}
assert optimize(config, "out", quiet=True).metrics.scores_used == 30
"""


@pytest.mark.parametrize("size", [10, 2 * TRAVELS])
def test_values_of_any_size_are_sent_as_few_bytes(local_ray: None, size: int):
    data = sent(b"x" * size)
    assert is_large(b"x" * size) == (size > TRAVELS)
    assert len(data) <= TRAVELS and received(data) == b"x" * size
    assert ray.get(ray.remote(received).remote(data)) == b"x" * size  # in another process


@pytest.mark.nightly  # starts a Ray of its own twice
def test_ray_prints_no_error_about_a_large_reward(tmp_path: Path, tiny_prior: Path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py", str(tiny_prior)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "constructor arguments" not in said and "very large" not in said, said
