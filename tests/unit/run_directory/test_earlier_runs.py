"""A run that begins with the scores of an earlier one, under another reward."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_runs import rows
from rich.console import Console

from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import to_toml
from sequence_tutor.distributed.types import Scored
from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.compile import build_reward, without_calls
from sequence_tutor.rewards.config import RewardConfig

COUNTED = {
    "name": "python",
    "label": "carbons",
    "function": "counted_rewards:counted",
    "transform": {"type": "linear", "low": 0, "high": 20},
}
BEFORE = [COUNTED, {"name": "qed"}, {"name": "heavy_atoms", "weight": 0}]
SCORES = 40


def reweighted() -> list[dict[str, Any]]:
    """The same raw values with other weights, transforms, roles and labels."""
    sigmoid = {"type": "sigmoid", "low": 0, "high": 10}
    atoms = {"name": "heavy_atoms", "role": "filter", "transform": {"type": "step", "high": 12}}
    return [
        COUNTED | {"weight": 0.25, "transform": sigmoid, "label": "c"},
        {"name": "qed", "weight": 3},
        atoms,
    ]


@pytest.fixture(scope="module")
def make(make_run: Callable[..., RunConfig], plugins: Path) -> Callable[..., RunConfig]:
    """A run of these components; other arguments change tables or keys."""

    def made(components: list[dict[str, Any]], **changes: Any) -> RunConfig:
        reward = {"component": components} | changes.pop("reward", {})
        return make_run(reward=reward, **({"stop": {"scores": SCORES}} | changes))

    return made


@pytest.fixture(scope="module")
def earlier(
    make: Callable[..., RunConfig], outside_of_session: Any, tmp_path_factory: Any
) -> tuple[Path, Scored]:
    """The directory of a run of BEFORE, and its valid rows."""
    out = tmp_path_factory.mktemp("earlier") / "run"
    optimize(make(BEFORE), out, Console(quiet=True), Options(local=True))
    record = rows(out)
    return out, record.select(np.flatnonzero(record.status == Status.OK))


def started(run: RunConfig, out: Path, console: Console, start: Path, **more: Any) -> Scored:
    """The rows that a run began with."""
    optimize(run, out, console, Options(warm_start=start, local=True, **more))
    record = rows(out)
    return record.select([i for i, s in enumerate(record.sources) if s == "warm-start"])


def test_other_weights_cost_no_call(
    make: Callable[..., RunConfig],
    earlier: tuple[Path, Scored],
    outside: Any,
    quiet: Console,
    tmp_path: Path,
):
    before, known = earlier
    run = make(reweighted(), stop={"scores": 20})
    began = started(run, tmp_path / "run", quiet, before)
    called = outside.calls()
    assert called and not set(called) & set(known.sequences)  # counted outside the system
    assert began.keys == known.keys
    scores = build_reward(run.reward).score(began.sequences)
    assert began.rewards.tolist() == scores.rewards.tolist()
    assert len(set(began.rewards.tolist())) > 10 and 0.0 in began.rewards
    for key in ("c", "qed", "heavy_atoms"):
        assert np.array_equal(began.raw[key], known.raw["carbons" if key == "c" else key])
    assert f"{len(known)} of {len(known)} rewards are computed anew" in quiet.file.getvalue()
    # and so on: the new run's record serves a third reward
    third = started(make(BEFORE), tmp_path / "third", quiet, tmp_path / "run")
    of = dict(zip(third.keys, third.rewards.tolist(), strict=True))
    assert [of[key] for key in known.keys] == known.rewards.tolist()


def test_a_new_component_alone_is_called(
    make: Callable[..., RunConfig],
    earlier: tuple[Path, Scored],
    outside: Any,
    quiet: Console,
    tmp_path: Path,
):
    before, known = earlier
    heavy = {"name": "heavy_atoms", "role": "filter", "transform": {"type": "step", "high": 12}}
    logp = {"name": "logp", "transform": {"type": "linear", "low": -2, "high": 5}}
    run = make([{"name": "qed"}, heavy, logp])
    small = known.raw["heavy_atoms"] <= 12
    wanted = known.select(np.flatnonzero(small))
    best = wanted.select(np.argsort(-wanted.rewards, kind="stable"))
    out = tmp_path / "run"
    began = started(run, out, quiet, before, rescore=7)
    assert not set(outside.calls()) & set(known.sequences)
    scores = build_reward(run.reward).score(began.sequences)
    assert began.rewards.tolist() == scores.rewards.tolist()
    # what the filter stops needs no call, and of the others the seven best have one
    assert len(began) == 7 + int((~small).sum())
    assert set(best.keys[:7]) < set(began.keys)
    assert f"{len(wanted) - 7} sequences of {before} lack a value" in quiet.file.getvalue()
    # an interrupted start goes on with what it has chosen and scored
    more = Options(warm_start=before, local=True, resume=True, rescore=7)
    optimize(run, out, quiet, more)
    assert len(rows(out)) > len(began)


def test_a_reward_by_the_step_is_paid_again(
    make_run: Callable[..., RunConfig], quiet: Console, tmp_path: Path
):
    def melodies(weight: float) -> RunConfig:
        rules = [{"name": "key"}, {"name": "repetition", "weight": weight}]
        return make_run(
            encoding="melody",
            prior="lieder",
            reward={"aggregate": "sum", "component": rules},
            stop={"scores": 24},
            actors={"batch": 24},
        )

    before = tmp_path / "before"
    optimize(melodies(1.0), before, quiet, Options(local=True))
    began = started(melodies(0.5), tmp_path / "run", quiet, before)
    reward = build_reward(melodies(0.5).reward, "melodies")
    scores = reward.score(began.sequences)
    assert began.rewards == pytest.approx(scores.rewards, abs=1e-6)
    assert began.step_rewards is not None and scores.step_rewards is not None
    width = began.step_rewards.shape[1]
    assert began.step_rewards == pytest.approx(scores.step_rewards[:, :width], abs=1e-6)
    assert np.abs(began.step_rewards[:, :-1]).sum() > 0


def test_what_the_prior_cannot_write_has_no_steps_to_pay_for(
    make_run: Callable[..., RunConfig], command: Callable[..., Any], quiet: Console, tmp_path: Path
):
    """Melodies of four bars, for a run of two: the sum of no steps would be a reward of 0."""
    run = make_run(
        encoding="melody",
        prior="lieder",
        max_length=64,
        reward={"component": [{"name": "key"}]},
        stop={"scores": 8},
        actors={"batch": 8},
    )
    before, config = tmp_path / "before", tmp_path / "next.toml"
    optimize(run, before, quiet, Options(local=True))
    config.write_text(to_toml(run.model_copy(update={"max_length": None})))
    given = ["--local", "--out", tmp_path / "next", "--warm-start", before]
    command("optimize", config, *given).refused("no sequence of", "can be written by the prior")


@pytest.mark.parametrize(
    ("components", "arguments", "parts"),
    [
        ([{"name": "tpsa"}], [], ["none of this run's components (tpsa)", "--reward-column"]),
        ([{"name": "qed"}, {"name": "tpsa"}], [], ["tpsa isn't among", "--rescore N"]),
        ([{"name": "qed"}], ["--rescore", 3], ["leave it out"]),
    ],
)
def test_mistakes_are_one_sentence(
    components: list[dict[str, Any]],
    arguments: list[Any],
    parts: list[str],
    make: Callable[..., RunConfig],
    earlier: tuple[Path, Scored],
    command: Callable[..., Any],
    tmp_path: Path,
):
    config, out = tmp_path / "run.toml", tmp_path / "run"
    config.write_text(to_toml(make(components)))
    given = ["--local", "--out", out, "--warm-start", earlier[0], *arguments]
    command("optimize", config, *given).refused(*parts)
    assert not out.exists()


def test_rescore_needs_an_earlier_run(
    make: Callable[..., RunConfig], command: Callable[..., Any], tmp_path: Path
):
    config, table = tmp_path / "run.toml", tmp_path / "known.csv"
    config.write_text(to_toml(make([{"name": "qed"}])))
    table.write_text("smiles,reward\nCCO,0.5\n")
    given = ["optimize", config, "--local", "--out", tmp_path / "run", "--rescore", 1]
    command(*given).refused("--rescore needs --warm-start")
    command(*given, "--warm-start", table).refused("no config of one")


def test_recomputing_imports_no_function():
    absent = {"name": "python", "function": "no_such_module:score", "weight": 3}
    both = {"component": [absent, {"name": "model", "file": "no_such.onnx"}]}
    reward = without_calls(RewardConfig.model_validate(both), "molecules")
    raw = {"python": np.array([1.0, 2.0]), "model": np.array([0.0, np.nan])}
    scores = reward.recompute(raw, [[], []], {})
    assert scores.status.tolist() == [Status.OK, Status.FAILED]
    assert scores.rewards[0] == 0.75
