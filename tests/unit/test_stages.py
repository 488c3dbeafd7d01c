"""Stages: one policy and its scores through several goals, in this process."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_runs import rows
from rich.console import Console

from sequence_tutor.distributed.commands.optimize import Options, optimize, optimize_rounds
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, parse_config, to_toml
from sequence_tutor.distributed.metrics.plateau import Plateau
from sequence_tutor.distributed.run_directory import checkpoint
from sequence_tutor.distributed.run_directory.resume import check_directory
from sequence_tutor.distributed.stages import stage_runs
from sequence_tutor.policies.prior import load_prior

LOCAL = Options(local=True)
COMPONENTS = [
    {"name": "qed"},
    {"name": "similarity", "smiles": ["CCO"]},
    {"name": "descriptor", "descriptor": "MolWt", "label": "weight"},
]
THREE = [
    {"components": ["qed"], "stop": {"scores": 30}, "learner": {"temperature": 0.2}},
    {"components": ["qed", "similarity"], "stop": {"scores": 45}, "rescore": 5},
    {"learner": {"temperature": 50.0}, "stop": {"scores": 20}},
]


def staged(make_run: Callable[..., RunConfig], stages: list[dict[str, Any]]) -> RunConfig:
    return make_run(reward={"component": COMPONENTS}, stage=stages)


def weights(directory: Path) -> dict[str, np.ndarray]:
    return {k: v.numpy() for k, v in load_prior(directory).network.state_dict().items()}


def test_stages_change_what_they_say(make_run: Callable[..., RunConfig]):
    one, two, three = stage_runs(staged(make_run, THREE))
    names = [[c.label or c.name for c in run.reward.component] for run in (one, two, three)]
    assert names == [["qed"], ["qed", "similarity"], ["qed", "similarity", "weight"]]
    assert [run.learner.temperature for run in (one, two, three)][::2] == [0.2, 50.0]
    assert [run.stop.scores for run in (one, two, three)] == [30, 45, 20]
    assert not one.stage and one.prior == three.prior


def test_a_run_in_stages_resumes_inside_one(
    make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Console
):
    run = staged(make_run, THREE)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    summary = optimize(run, whole, quiet, LOCAL)
    assert summary.metrics.scores_used == 20
    with closing(optimize_rounds(run, parts, quiet, LOCAL)) as training:
        for round_ in training:
            if round_.directory.name == "stage-2" and round_.tally.rounds == 1:
                break
    assert not (parts / "stage-3").exists()
    (parts / "changes.csv").write_text("of a stage that had leads")
    optimize(run, parts, quiet, Options(local=True, resume=True))
    assert not (parts / "changes.csv").exists()
    for stage in ("stage-1", "stage-2", "stage-3"):
        one, other = rows(whole / stage), rows(parts / stage)
        assert one.keys == other.keys
        assert np.array_equal(one.rewards, other.rewards, equal_nan=True)
        assert np.array_equal(one.versions, other.versions)
    one, other = weights(whole), weights(parts)
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert (whole / "top.csv").read_bytes() == (whole / "stage-3" / "top.csv").read_bytes()


def test_a_run_that_is_stopped_in_a_stage_has_a_policy(
    make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Console
):
    out = tmp_path / "run"
    for round_ in optimize_rounds(staged(make_run, THREE), out, quiet, LOCAL):
        if round_.directory.name == "stage-2":
            signal.raise_signal(signal.SIGINT)  # Ctrl-C
    assert not (out / "stage-3").exists()
    assert (out / "top.csv").read_bytes() == (out / "stage-2" / "top.csv").read_bytes()
    one, other = weights(out), weights(out / "stage-2")
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_limits_of_a_stage_may_change_on_resume(make_run: Callable[..., RunConfig], tmp_path: Path):
    (tmp_path / "config.toml").write_text(to_toml(staged(make_run, THREE)))
    longer = [*THREE[:2], THREE[2] | {"stop": {"scores": 40, "plateau": 30}}]
    check_directory(staged(make_run, longer), tmp_path, resume=True)
    hotter = [*THREE[:2], THREE[2] | {"learner": {"temperature": 60.0}}]
    with pytest.raises(ConfigError, match=r"another stage\[2\].learner.temperature"):
        check_directory(staged(make_run, hotter), tmp_path, resume=True)


def test_a_stage_goes_on_with_policy_and_scores(make_run: Callable[..., RunConfig], tmp_path: Path):
    text = io.StringIO()
    optimize(staged(make_run, THREE), tmp_path / "run", Console(file=text, width=500), LOCAL)
    first, second = (tmp_path / "run" / f"stage-{n}" for n in (1, 2))
    last = checkpoint.complete(first / "checkpoints")[-1]
    begun = checkpoint.complete(second / "checkpoints")[0]
    before, after = checkpoint.read(last), checkpoint.read(begun)
    assert before.counters["updates"] > 0
    assert after.counters["updates"] >= before.counters["updates"]
    # five known molecules were scored by the new component and are no scores of the stage
    record = rows(second)
    taken = np.flatnonzero([source == "warm-start" for source in record.sources])
    assert len(taken) == 5 and np.isfinite(record.raw["similarity"][taken]).all()
    assert "stage 2 of 3" in text.getvalue() and "stage 1: budget used" in text.getvalue()
    # whose scores need nothing new in the last stage but its own component, which nothing asked for
    third = rows(tmp_path / "run" / "stage-3")
    assert "warm-start" not in third.sources


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([{"components": ["qed"]}, {}], "stage 1: it might never end: give stop.scores"),
        ([{"stop": {"reward": 0.9}}, {}], "stage 1: it might never end"),
        ([{"components": ["sa"], "stop": {"scores": 5}}, {}], "stage 1: unknown component"),
        ([{"learner": {"temprature": 1}, "stop": {"scores": 5}}, {}], "did you mean temperature"),
        ([{"learner": {"algorithm": "g"}, "stop": {"scores": 5}}], "the same in all stages"),
    ],
)
def test_mistakes_in_stages(
    make_run: Callable[..., RunConfig],
    stages: list[dict[str, Any]],
    message: str,
    tmp_path: Path,
    quiet: Console,
):
    with pytest.raises(ConfigError, match=message):
        optimize(staged(make_run, stages), tmp_path / "run", quiet, LOCAL)
    assert not (tmp_path / "run").exists()


def test_an_unknown_key_of_a_stage():
    config = {"reward": {"component": COMPONENTS}, "stage": [{"component": ["qed"]}]}
    with pytest.raises(ConfigError, match="did you mean components"):
        parse_config(config)


def test_a_plateau_and_enough_end_a_run(
    make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Console
):
    whole = {"component": [{"name": "csp3"}]}  # which soon is 1
    run = make_run(reward=whole, stop={"scores": 10_000, "plateau": 24})
    summary = optimize(run, tmp_path / "plateau", quiet, LOCAL)
    assert summary.reason == "ended: stop.plateau" and summary.metrics.scores_used >= 24
    enough = make_run(
        reward=whole, stop={"scores": 10_000, "reward": summary.metrics.reward_top10 - 1e-9}
    )
    assert optimize(enough, tmp_path / "enough", quiet, LOCAL).reason == "ended: stop.reward"


def test_plateau_counts_scores_since_the_last_rise():
    plateau = Plateau()
    assert plateau.since_rise(100) == 0
    for scores, best in [(10, 0.5), (20, 0.5004), (30, 0.6), (40, float("nan")), (50, 0.6)]:
        plateau.add(best, scores)
    assert plateau.best == 0.6 and plateau.since_rise(50) == 20
    again = Plateau()
    again.restore(plateau.state())
    assert again.since_rise(55) == 25


def test_a_stage_with_given_parts_takes_rows_that_have_them(
    make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Console
):
    stages = [{"stop": {"scores": 40}}, {"generate": {"start": "CC"}, "stop": {"scores": 10}}]
    optimize(staged(make_run, stages), tmp_path / "run", quiet, LOCAL)
    first, second = (rows(tmp_path / "run" / f"stage-{n}") for n in (1, 2))
    begin = [s.startswith("CC") for s in first.sequences]
    assert 0 < sum(begin) < len(begin)
    assert "warm-start" in second.sources
    assert all(s.startswith("CC") for s in second.sequences)


def test_a_table_of_a_run_with_given_parts(make_run: Callable[..., RunConfig], tmp_path: Path):
    table, text = tmp_path / "assay.csv", io.StringIO()
    table.write_text("smiles,reward\nCCO,0.5\nOC,0.9\nCCN,0.1\n")
    run = make_run(generate={"start": "CC"}, stop={"scores": 10})
    options = Options(local=True, warm_start=table)
    optimize(run, tmp_path / "run", Console(file=text, width=300), options)
    known = [s for s, by in zip(*sequences_of(tmp_path / "run"), strict=True) if by == "warm-start"]
    assert sorted(known) == ["CCN", "CCO"]
    assert "1 sequences lack the given parts" in text.getvalue()


def sequences_of(out: Path) -> tuple[list[str], list[str]]:
    record = rows(out)
    return record.sequences, record.sources
