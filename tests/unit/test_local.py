"""The local engine: whole runs in this process."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from local_runs import rounds, rows
from rdkit import Chem
from rich.console import Console

import sequence_tutor.distributed as tutor
from sequence_tutor.distributed.commands.optimize import Options, _print_warnings, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, to_toml
from sequence_tutor.distributed.local import LocalRun
from sequence_tutor.distributed.types import PolicySamples, ScoreReport, ScreenReport
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.rewards.base import Status

LOCAL = Options(local=True)
ROUNDS = 4
SEARCH = {
    "proposers": {"adaptive": True, "genetic": {"batch": 24, "processes": 2}},
    "screen": {"batch": 24, "start": 40, "children": 16, "random": 0.2},
}
FILES = {"config.toml", "logs", "metrics.jsonl", "tensorboard", "scores", "checkpoints", "policy"}
FILES |= {"top.csv", "best", "samples"}
# The arguments of `counted`, and the numbers of calls at which it is interrupted. They are globals,
# as a closure is part of a function's identity, and a resumed run must have the same reward.
CALLS: list[str] = []
INTERRUPTED_AFTER: list[int] = []


@pytest.fixture(autouse=True)
def no_calls_yet() -> None:
    CALLS.clear()
    INTERRUPTED_AFTER.clear()


def counted(smiles: str) -> float:
    if len(CALLS) in INTERRUPTED_AFTER:
        raise KeyboardInterrupt
    CALLS.append(smiles)
    return len(smiles)


def config_with(function: Callable[[str], float], prior: Path, **stop: int) -> dict[str, Any]:
    """The config of a run with 16 sequences a round and a function of this process as reward."""
    return {
        "prior": str(prior),
        "mode": "synchronous",
        "reward": {"component": [{"name": "python", "function": function}]},
        "actors": {"batch": 16},
        "learner": {"batch": 16, "temperature": 100.0, "threads": 1},
        "replay": {"min_rows": 16, "ratio": 1.0},
        "stop": stop,
    }


def test_a_local_run_finishes_and_resumes(
    make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Console
):
    """A local run is synchronous and says so, although `mode` is asynchronous here."""
    run, out = make_run(mode="asynchronous", stop={"scores": 40}), tmp_path / "run"
    summary = optimize(run, out, quiet, LOCAL)
    assert summary.reason == "budget used" and summary.metrics.scores_used == 40
    assert {path.name for path in out.iterdir()} == FILES
    assert 'mode = "synchronous"' in (out / "config.toml").read_text()
    longer = run.model_copy(update={"stop": run.stop.model_copy(update={"scores": 60})})
    again = optimize(longer, out, quiet, Options(local=True, resume=True))
    assert again.metrics.scores_used == 60
    assert (rows(out).status == Status.OK).sum() == 60


@pytest.mark.parametrize(
    "changes",
    [{}, SEARCH, {"learner": {"temperature": "auto", "kl": 3.0}}],
    ids=["policy", "search", "kl"],
)
def test_a_resumed_run_equals_the_uninterrupted_one(
    make_run: Callable[..., RunConfig], tmp_path: Path, changes: dict[str, Any]
):
    run = make_run(actors={"count": 2, "batch": 24}, **changes)
    one = LocalRun(run, Location(tmp_path / "whole"))
    weights, temperature = rounds(one, ROUNDS), one.temperature.value
    sources = one.last_metrics.sources
    one.stop()
    one = LocalRun(run, Location(tmp_path / "parts"))
    rounds(one, 2)
    assert (one.temperature.value == temperature) != ("learner" in changes)
    checkpoint = one.save_run_checkpoint()
    halfway = rounds(one, 3)  # the record is ahead of the checkpoint
    one.stop()
    one = LocalRun(run, Location(tmp_path / "parts"))
    one.load_checkpoint(str(checkpoint))
    resumed = rounds(one, ROUNDS)
    assert one.last_metrics.sources == sources
    one.stop()
    assert one.temperature.value == temperature == one.last_metrics.temperature
    assert all(np.array_equal(resumed[name], weights[name]) for name in weights)
    assert any(not np.array_equal(halfway[name], weights[name]) for name in weights)
    whole, parts = rows(tmp_path / "whole"), rows(tmp_path / "parts")
    assert whole.keys == parts.keys and np.array_equal(whole.rewards, parts.rewards, equal_nan=True)
    assert np.array_equal(whole.versions, parts.versions) and whole.sources == parts.sources
    assert ("genetic" in sources and sources["genetic"].screened_out > 0) is ("screen" in changes)


def test_a_closure_as_reward_runs_in_this_thread(tiny_prior: Path, tmp_path: Path):
    """The reward is called in this thread, as a debugger needs."""
    seen: list[tuple[int, str]] = []
    here = threading.current_thread().name

    def oxygens(smiles: str) -> float:
        seen.append((os.getpid(), threading.current_thread().name))
        return smiles.count("O")

    config, sizes = config_with(oxygens, tiny_prior, scores=48), []
    for made in tutor.optimize_rounds(config, tmp_path / "run"):
        sizes.append((made.metrics.scores_used, len(seen)))
        assert len(made.policy().sample(3, seed=0)) == 3
    assert sizes[-1] == (48, 48) and len(sizes) >= 3
    assert set(seen) == {(os.getpid(), here)}
    best = made.top(3)
    assert len(best) == 3 and best[0]["reward"] == max(rows(tmp_path / "run").rewards)


def test_calls_that_filters_save_are_counted(make_run: Callable[..., RunConfig], tmp_path: Path):
    ring = {"name": "ring_count", "transform": {"type": "step", "low": 1}, "role": "filter"}
    run = make_run(reward={"component": [{"name": "qed"}, {"name": "sa", "weight": 0}, ring]})
    out = io.StringIO()
    summary = optimize(run, tmp_path / "run", Console(file=out, width=200), Options(local=True))
    record = rows(tmp_path / "run")
    ok = record.status == Status.OK
    stopped = ok & (record.raw["ring_count"] == 0)
    assert 0 < stopped.sum() < ok.sum() == 100
    assert (record.rewards[stopped] == 0).all() and (record.rewards[ok & ~stopped] > 0).all()
    for name in ("qed", "sa"):
        assert (np.isnan(record.raw[name]) == (stopped | ~ok)).all()
    assert summary.metrics.calls_saved == 2 * stopped.sum()
    order = "components in the order of their calls: ring_count (filter), sa, qed"
    assert order in out.getvalue()
    longer = run.model_copy(update={"stop": run.stop.model_copy(update={"scores": 120})})
    again = optimize(
        longer, tmp_path / "run", Console(quiet=True), Options(resume=True, local=True)
    )
    assert again.metrics.scores_used == 120


def test_a_loop_that_is_left_early_can_be_resumed(tiny_prior: Path, tmp_path: Path):
    config, out = config_with(counted, tiny_prior, scores=48), tmp_path / "run"
    for made in tutor.optimize_rounds(config, out):
        if made.metrics.scores_used:
            break
    paid = len(CALLS)
    assert 0 < paid < 48 and len(list((out / "checkpoints").iterdir())) > 1
    result = tutor.optimize(config, out, local=True, resume=True, quiet=True)
    assert result.metrics.scores_used == len(CALLS) == len(set(CALLS)) == 48


@pytest.mark.parametrize("actors", [1, 2])
def test_an_interrupt_in_a_reward_loses_no_paid_score(
    actors: int, tiny_prior: Path, tmp_path: Path
):
    """With two actors it comes in the second batch of a round, and the first isn't stored yet."""
    INTERRUPTED_AFTER.append(20)
    config, out = config_with(counted, tiny_prior, scores=48), tmp_path / "run"
    config["actors"]["count"] = actors
    with pytest.raises(KeyboardInterrupt):
        tutor.optimize(config, out, local=True, quiet=True)
    assert len(CALLS) == 20 and (rows(out).status == Status.OK).sum() == 20
    INTERRUPTED_AFTER.clear()
    result = tutor.optimize(config, out, local=True, resume=True, quiet=True)
    assert result.metrics.scores_used == len(CALLS) == len(set(CALLS)) == 48


@pytest.mark.parametrize("screened", [False, True])
def test_a_policy_that_repeats_itself_is_noticed(
    screened: bool, make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Console
):
    """Its repeats are counted before a screen drops them."""
    screen = {"screen": {"batch": 16, "start": 1000}} if screened else {}
    one = LocalRun(make_run(**screen), Location(tmp_path))
    rounds(one, 2)
    share = one.repeats.share
    assert share.rows == 64 and 0 <= share.value < 0.5
    many = PolicySamples(300, 300, 200)
    one.count_screened(ScreenReport({}, {}, 300, 16, 0.1, policy=many))
    one.count_scores(ScoreReport(300, 300, 0, 200, 300, 1.0, 0.1, policy=many))
    one.stop()
    _print_warnings(one, quiet)
    text = quiet.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("warning: 67% of the policy's latest sequences were known already") == 1
    assert 'set it to "auto"' in text


def test_pytorch_settings_are_restored(make_run: Callable[..., RunConfig], tmp_path: Path):
    torch.manual_seed(3)
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode(), torch.get_rng_state()
    one = LocalRun(make_run(), Location(tmp_path))
    rounds(one, 1)
    assert not torch.equal(torch.get_rng_state(), before[2])
    one.stop()
    after = torch.get_num_threads(), torch.get_deterministic_debug_mode(), torch.get_rng_state()
    assert before[:2] == after[:2] and torch.equal(before[2], after[2])


def test_settings_that_need_a_cluster_are_one_sentence(
    make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Console
):
    with pytest.raises(ConfigError, match=r"one learner: set learner\.count = 1"):
        optimize(make_run(learner={"count": 2}), tmp_path / "run", quiet, LOCAL)
    wide = make_run(mode="asynchronous", actors={"max_batch": 500}, stop={"scores": 9})
    with pytest.raises(ConfigError, match=r"local run is synchronous: .* no actors\.max_batch"):
        optimize(wide, tmp_path / "run", quiet, LOCAL)
    assert not (tmp_path / "run").exists()


def test_a_file_is_scored_locally(
    make_run: Callable[..., RunConfig],
    command: Callable[..., Any],
    molecules: list[str],
    tmp_path: Path,
):
    config, file, out = tmp_path / "run.toml", tmp_path / "library.smi", tmp_path / "out.csv"
    config.write_text(to_toml(make_run()))
    file.write_text("\n".join([*molecules[:30], "C(", molecules[0]]))
    done = command("score", config, file, "--out", out, "--local")
    assert done.code == 0 and "31 ok, 1 invalid" in done.out
    table = out.read_text().splitlines()
    assert len(table) == 33 and table[1].split(",")[1:] == table[32].split(",")[1:]
    command("score", config, file, "--out", out, "--local").refused("out.csv exists already")


def test_salts_are_scored_as_their_parents_if_asked(
    make_run: Callable[..., RunConfig],
    command: Callable[..., Any],
    tmp_path: Path,
    quiet: Console,
):
    file, out = tmp_path / "library.sdf", tmp_path / "out.csv"
    salt = Chem.MolFromSmiles("CC(=O)[O-].[Na+]")
    salt.SetProp("_Name", "acetate")
    salt.SetProp("batch", "7")
    block = Chem.MolToMolBlock(salt) + "> <batch>\n7\n\n$$$$\n"
    file.write_text(block + block.replace("M  END", "") + block)
    found = {}
    for on in (True, False):
        run = make_run(reward={"component": [{"name": "molecular_weight"}], "standardize": on})
        config = tmp_path / f"{on}.toml"
        config.write_text(to_toml(run))
        out = tmp_path / f"{on}.csv"
        assert command("score", config, file, "--out", out, "--local").code == 0
        found[on] = pq.read_table(out.with_suffix(".parquet")).to_pylist()
        assert (
            f"standardize = {str(on).lower()}"
            in (out.with_suffix(".record") / "config.toml").read_text()
        )
    first, damaged, third = found[True]
    assert first == third | {"seconds": first["seconds"]}
    assert (first["sequence"], first["key"]) == ("CC(=O)[O-].[Na+]", "CC(=O)O")
    assert (first["name"], first["batch"]) == ("acetate", "7")
    assert damaged["status"] == "invalid" and damaged["error"].startswith("mol block: ")
    assert damaged["batch"] == "7"
    assert found[False][0]["key"] == "CC(=O)[O-].[Na+]"
    assert found[False][0]["reward"] > first["reward"]
    command(
        "score",
        tmp_path / "False.toml",
        file,
        "--out",
        tmp_path / "True.csv",
        "--local",
        "--resume",
        "--retry-failed",
    ).refused("was scored with another [reward]")
    with pytest.raises(ConfigError, match="reward.standardize is for `score` alone"):
        standardizing = make_run(reward={"component": [{"name": "qed"}], "standardize": True})
        optimize(standardizing, tmp_path / "run", quiet, LOCAL)


def test_sequences_are_scored_from_python(tiny_prior: Path):
    """With a config that no local run could have; the table has a row per sequence, in order."""
    config = config_with(counted, tiny_prior, scores=9) | {"learner": {"count": 2}}
    table = tutor.score(config, ["CCO", "C(", "CCO", "OCC"])
    assert table.column_names[:4] == ["sequence", "key", "reward", "status"]
    assert table["status"].to_pylist() == ["ok", "invalid", "ok", "ok"]
    assert table["key"].to_pylist() == ["CCO", "", "CCO", "CCO"] and len(CALLS) == 1
    assert table["raw.python"].to_pylist() == [3.0, None, 3.0, 3.0]


def test_a_result_is_the_path_of_its_run(
    tiny_prior: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    result = tutor.optimize(config_with(counted, tiny_prior, scores=20), local=True, quiet=True)
    place = Path(result)
    assert place.parent == Path("runs").resolve() or place.parent == Path("runs")
    assert (place / "top.csv").is_file()
