from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import to_toml
from sequence_tutor.distributed.run_directory.warm_start_checks import scale_warnings

QED = {"component": [{"name": "qed"}]}
LOGP = {"component": [{"name": "logp"}]}
NEGATED = {"component": [{"name": "sa", "transform": {"type": "negate"}}]}


@pytest.mark.parametrize(
    ("reward", "values", "said"),
    [
        (QED, [0.2, 0.9], []),
        (QED, [0.0, 1.0 + 1e-9], []),  # rounded in a file
        (QED, [0.2, 90.0, -1.0], ["2 of 3 rewards", "0 to 1", "such as 90", "--lower-is-better"]),
        (NEGATED, [-3.0, -2.0], []),
        (NEGATED, [3.0, 2.0], ["2 of 2 rewards", "such as 3"]),
        (LOGP, [-300.0, 500.0], []),  # anything may come
        (LOGP, [0.5, 0.5, 0.5], ["all 3 rewards", "are 0.5"]),
        (LOGP, [0.5], []),
    ],
)
def test_rewards_out_of_range_warn(
    make_run: Callable[..., RunConfig],
    tmp_path: Path,
    reward: dict[str, Any],
    values: list[float],
    said: list[str],
):
    path = tmp_path / "mine.csv"
    found = scale_warnings(np.array(values), path, make_run(reward=reward), "molecules")
    assert len(found) == bool(said)
    for part in [*said, "mine.csv"] if said else []:
        assert part in found[0]


@pytest.mark.parametrize("given", ["run", "run/scores", "out.csv", "out.parquet"])
def test_scores_of_another_reward_warn(
    make_run: Callable[..., RunConfig], tmp_path: Path, given: str
):
    ours, other, values = make_run(reward=QED), make_run(reward=LOGP), np.array([0.1, 0.2])
    directory = tmp_path / ("run" if given.startswith("run") else "out.record")
    (directory / "scores").mkdir(parents=True)
    if not given.startswith("run"):
        (tmp_path / given).touch()
    assert scale_warnings(values, tmp_path / given, ours, "molecules") == []  # nothing is known
    (directory / "config.toml").write_text(to_toml(other))
    (warning,) = scale_warnings(values, tmp_path / given, ours, "molecules")
    assert "another [reward]" in warning and str(directory / "config.toml") in warning
    (directory / "config.toml").write_text(to_toml(ours))
    assert scale_warnings(values, tmp_path / given, ours, "molecules") == []
