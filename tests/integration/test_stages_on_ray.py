"""Stages and given parts on Ray, against the local engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records import rows_on_record
from rich.console import Console

from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.policies.prior import load_prior
from sequence_tutor.rewards import score_one
from sequence_tutor.rewards.base import Status

# a component whose calls are counted outside the system
COUNTED = {"name": "python", "label": "carbons", "function": "counted_rewards:counted"}
STAGES = [
    {"components": ["qed"], "stop": {"scores": 40}},
    {"learner": {"temperature": 0.02}, "stop": {"scores": 30}, "rescore": 4},
]


@pytest.mark.nightly  # the stages test below runs on Ray too
def test_stages_with_given_parts_are_the_same_on_ray(
    make_run: Callable[..., RunConfig], local_ray: None, tmp_path: Path, quiet: Console
):
    run = make_run(
        generate={"scaffold": "[*:1]CC[*:2]"},
        reward={"component": [{"name": "qed"}, {"name": "csp3"}]},
        proposers={"genetic": {"batch": 24}},
        screen={"batch": 24, "start": 20, "children": 16},
        stage=STAGES,
    )
    optimize(run, tmp_path / "ray", quiet)
    optimize(run, tmp_path / "local", quiet, Options(local=True))
    for stage in ("stage-1", "stage-2"):
        one, other = (
            rows_on_record(tmp_path / engine / stage / "scores") for engine in ("ray", "local")
        )
        one, other = (rows.select(np.argsort(rows.keys)) for rows in (one, other))
        assert one.keys == other.keys and one.sequences == other.sequences
        assert np.array_equal(one.rewards, other.rewards, equal_nan=True)
        assert np.array_equal(one.versions, other.versions)
        assert np.array_equal(one.log_probs, other.log_probs, equal_nan=True)
        assert {"policy", "genetic"} <= set(one.sources)
        assert (one.lengths[one.status == Status.OK] > 0).all()
    assert "warm-start" in one.sources
    weights = [load_prior(tmp_path / e).network.state_dict() for e in ("ray", "local")]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("local", [True, False])
def test_no_value_is_paid_twice_over_the_stages(
    local: bool,
    make_run: Callable[..., RunConfig],
    local_ray: None,
    outside: Any,
    tmp_path: Path,
    quiet: Console,
):
    molecules = ["C" * n + end for n in range(1, 21) for end in ("O", "N")]
    (tmp_path / "molecules.smi").write_text("\n".join(molecules))
    run = make_run(
        reward={"component": [COUNTED, {"name": "tpsa"}, {"name": "heavy_atoms"}]},
        actors={"count": 0},
        proposers={"data": {"file": str(tmp_path / "molecules.smi"), "batch": 40}},
        replay={"ratio": 0},
        stage=[
            {"components": ["carbons"], "stop": {"scores": 25}},
            {"components": ["tpsa"], "stop": {"scores": 30}},
            {"components": ["carbons", "tpsa"], "stop": {"scores": 30}},
            {"stop": {"scores": 50, "sequences": 90}, "rescore": 3},
        ],
    )
    optimize(run, tmp_path / "run", quiet, Options(local=local))
    stages = [rows_on_record(tmp_path / "run" / f"stage-{n}" / "scores") for n in range(1, 5)]
    assert len(stages[3]) == len(molecules)  # after which the proposer had nothing left
    called = outside.calls()
    assert sorted(called) == sorted(molecules)
    paid = [set(rows.keys) for rows in stages[:2]]
    began = {
        key
        for key, source in zip(stages[2].keys, stages[2].sources, strict=True)
        if source == "warm-start"
    }
    assert began == paid[0] & paid[1]
    for rows in stages[2:]:
        for row, text in enumerate(rows.sequences):
            assert rows.raw["carbons"][row] == text.count("C")
            assert rows.raw["tpsa"][row] == score_one("tpsa", text)
