"""Runs in which a user's function pays each step: they learn as with a rule of ours, and a step
that was paid for is never paid for again."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_runs import rounds, rows
from rich.console import Console

from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import parse_config
from sequence_tutor.distributed.local import LocalRun
from sequence_tutor.distributed.scoring.earlier_values import earlier_values
from sequence_tutor.distributed.stages import merged
from sequence_tutor.distributed.types import Scored
from sequence_tutor.policies.encodings.melody import MelodyEncoding
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.pretrain import Pretraining, PretrainSettings
from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.compile import build_reward

BEATS = ("C4---", "D4-E4-", "F#4---", "G4-A4-", "C#5---")
RULE: dict[str, Any] = {"name": "key", "label": "mine"}
MINE: dict[str, Any] = {
    "name": "python",
    "function": "step_rules:counted",
    "per_step": True,
    "label": "mine",
}
MOTIF: dict[str, Any] = {"name": "motif"}
Make = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, plugins: Path) -> Make:
    """A run of these components with a tiny prior of melodies of 16 steps."""
    place = tmp_path_factory.mktemp("prior")
    rng = random.Random(0)
    tunes = ["".join(rng.choices(BEATS, k=4)) for _ in range(60)]
    settings = PretrainSettings(
        cell="gru", hidden=16, layers=1, embedding=8, epochs=3, validation=0.2
    )
    Pretraining(MelodyEncoding.fit([], max_length=16), tunes, settings, "cpu").run(
        place, lambda _: None
    )
    base = {
        "encoding": "melody",
        "prior": str(place),
        "seed": 3,
        "mode": "synchronous",
        "learner": {"batch": 16, "updates_per_call": 2, "temperature": 0.5, "threads": 1},
        "replay": {"min_rows": 16, "ratio": 2.0},
        "actors": {"batch": 32},
        "stop": {"scores": 40},
    }

    def made(components: list[dict[str, Any]], **changes: Any) -> RunConfig:
        reward = {"reward": {"aggregate": "sum", "component": components}}
        return parse_config(merged(base | reward, changes))

    return made


def valid(out: Path) -> Scored:
    found = rows(out)
    return found.select(np.flatnonzero(found.status == Status.OK))


def began(run: RunConfig, out: Path, start: Path, **more: Any) -> Scored:
    """The rows that a run took from an earlier one."""
    optimize(run, out, Console(quiet=True), Options(warm_start=start, local=True, **more))
    found = rows(out)
    return found.select([i for i, one in enumerate(found.sources) if one == "warm-start"])


def require_steps(found: Scored, run: RunConfig) -> None:
    """The rows are paid at each step as the reward would pay them now."""
    scores = build_reward(run.reward, "melodies").score(found.sequences)
    assert found.step_rewards is not None and scores.step_rewards is not None
    assert found.rewards == pytest.approx(scores.rewards, abs=1e-5)  # steps are float32
    width = found.step_rewards.shape[1]
    expected = scores.step_rewards[:, :width]
    expected[:, -1] += scores.step_rewards[:, width:].sum(1)
    assert found.step_rewards == pytest.approx(expected, abs=1e-5)
    assert np.abs(found.step_rewards[:, :-1]).sum() > 0


@pytest.mark.parametrize("algorithm", ["q", "psi", "g", "path"])
def test_training_is_that_of_the_rule(make: Make, tmp_path: Path, algorithm: str):
    learner = {"learner": {"algorithm": algorithm, "value_warmup": 0}, "stop": {"scores": 200}}
    own = MINE | {"function": "step_rules:in_key"}
    # the same sums, paid at the end
    total = {"name": "python", "function": "step_rules:total", "label": "mine"}
    weights, records = [], []
    for number, one in enumerate((RULE, own, total)):
        run = LocalRun(make([one, MOTIF], **learner), Location(tmp_path / str(number)))
        weights.append(rounds(run, 4))
        run.stop()
        records.append(rows(tmp_path / str(number)))
    rule, mine, _ = records
    assert rule.keys == mine.keys and rule.raw["mine"].min() < 0
    assert np.array_equal(rule.step_rewards, mine.step_rewards)  # type: ignore[arg-type]

    def same(other: int) -> bool:
        return all(np.array_equal(v, weights[other][k]) for k, v in weights[0].items())

    assert same(1) and not same(2)


def test_a_resumed_run_calls_for_new_melodies_alone(make: Make, tmp_path: Path, outside: Any):
    whole, out = tmp_path / "whole", tmp_path / "run"
    straight = make([MINE, MOTIF], stop={"scores": 80})
    optimize(straight, whole, Console(quiet=True), Options(local=True))
    assert sorted(outside.calls()) == sorted(valid(whole).sequences)
    optimize(make([MINE, MOTIF]), out, Console(quiet=True), Options(local=True))
    optimize(straight, out, Console(quiet=True), Options(local=True, resume=True))
    called, found = outside.calls(), valid(out)
    assert len(called) == len(set(called)) and sorted(called) == sorted(found.sequences)
    assert len(found) > 70
    require_steps(found, straight)


def test_a_warm_start_pays_recorded_steps(make: Make, tmp_path: Path, outside: Any):
    before, out = tmp_path / "before", tmp_path / "run"
    optimize(make([MINE, MOTIF]), before, Console(quiet=True), Options(local=True))
    known = valid(before)
    outside.calls()
    run = make([MINE | {"weight": 3.0, "label": "other"}, MOTIF], stop={"scores": 10})
    found = began(run, out, before)
    assert not set(outside.calls()) & set(known.sequences)
    assert found.keys == known.keys
    require_steps(found, run)


@pytest.mark.parametrize("new", [MINE, RULE], ids=["function", "rule"])
def test_new_steps_are_called_where_it_is_asked(
    make: Make, tmp_path: Path, outside: Any, new: dict[str, Any]
):
    before, out = tmp_path / "before", tmp_path / "run"
    optimize(make([MOTIF]), before, Console(quiet=True), Options(local=True))
    run = make([MOTIF, new], stop={"scores": 8})
    found = began(run, out, before, rescore=15)
    assert len(found) == 15
    require_steps(found, run)
    # what is left out keeps the steps that it has
    left = earlier_values(Location(out))
    assert left is not None and len(left) == len(valid(before)) - 15
    steps = {key: row for key, row in zip(left.keys, left.steps["motif"], strict=True)}
    old = valid(before)
    for row, key in enumerate(old.keys):
        if key in steps:
            assert np.array_equal(steps[key][:16], old.step_raw["motif"][row][:16])


def test_steps_that_wait_for_other_values_are_not_paid_again(
    make: Make, tmp_path: Path, outside: Any
):
    """A new component, of which no value is called for at the start: when such a melody is made
    again, our function isn't called for it."""
    before, out = tmp_path / "before", tmp_path / "run"
    optimize(make([MINE, MOTIF]), before, Console(quiet=True), Options(local=True))
    known = valid(before)
    outside.calls()
    run = make([MINE, MOTIF, {"name": "step_share"}], stop={"scores": 60})
    begins = Options(warm_start=before, local=True, rescore=1)
    optimize(run, out, Console(quiet=True), begins)
    found, called = valid(out), outside.calls()
    again = set(found.keys) & set(known.keys)
    assert len(again) > 5 and not set(called) & set(known.sequences)
    made = [i for i, one in enumerate(found.sources) if one != "warm-start"]
    require_steps(found.select(made), run)
