"""A run that goes on from another one's policy and scores."""

from __future__ import annotations

import json
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
from sequence_tutor.distributed.config_file import ConfigError, to_toml
from sequence_tutor.distributed.run_directory import checkpoint
from sequence_tutor.distributed.run_directory.fork import find_origin, origin_of
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.prior import load_prior

LOCAL = Options(local=True)
TWO = [{"name": "qed"}, {"name": "logp"}]


def weights(directory: Path) -> dict[str, np.ndarray]:
    return {k: v.numpy() for k, v in load_prior(directory).network.state_dict().items()}


def first_checkpoint(out: Path) -> checkpoint.Checkpoint:
    return checkpoint.read(checkpoint.complete(out / "checkpoints")[0])


@pytest.fixture(scope="module")
def source(
    make_run: Callable[..., RunConfig], tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunConfig, Path]:
    """A finished run with two components."""
    run = make_run(reward={"component": TWO}, stop={"scores": 100}, checkpoint={"keep": 9})
    out = tmp_path_factory.mktemp("source") / "run"
    with closing(optimize_rounds(run, out, Console(quiet=True), LOCAL)) as rounds:
        for training in rounds:
            if training.tally.rounds == 3:
                training.save_run_checkpoint()  # beside the one at the end
    optimize(run, out, Console(quiet=True), Options(local=True, resume=True))
    return run, out


def forked(
    source: tuple[RunConfig, Path], run: RunConfig, out: Path, console: Console, **changes: Any
) -> Any:
    fork = find_origin(source[1], changes.pop("at", None), run)
    return optimize(run, out, console, Options(local=True, fork=fork, **changes))


def test_a_fork_begins_with_policy_moments_and_rows(
    source: tuple[RunConfig, Path], make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Any
):
    run = make_run(
        reward={"component": [{"name": "qed"}, {"name": "logp", "weight": 3.0}]},
        learner={"temperature": 2.0},
        stop={"scores": 30},
    )
    summary = forked(source, run, tmp_path / "fork", quiet)
    text = quiet.file.getvalue()
    assert "going on from " in text and "rewards are computed anew" in text, text
    assert summary.metrics.scores_used == 30
    before = checkpoint.read(checkpoint.complete(source[1] / "checkpoints")[-1])
    after = first_checkpoint(tmp_path / "fork")
    assert after.counters["updates"] == before.counters["updates"] > 0
    for name, array in before.tensors.items():
        if name.startswith(("model.online.network", "optimizer")):
            assert np.array_equal(array, after.tensors[name]), name
    earlier, record = rows(source[1]), rows(tmp_path / "fork")
    ok = {k: i for i, k in enumerate(earlier.keys) if earlier.status[i] == 0}
    taken = [i for i, name in enumerate(record.sources) if name == "warm-start"]
    assert {record.keys[i] for i in taken} == set(ok)
    for i in taken:
        row = ok[record.keys[i]]
        expected = (earlier.raw["qed"][row] + 3 * earlier.raw["logp"][row]) / 4
        assert record.rewards[i] == pytest.approx(expected)
    made = [v for v, name in zip(record.versions, record.sources, strict=True) if name == "policy"]
    assert min(made) >= before.counters["updates"]
    assert summary.metrics.updates > before.counters["updates"]


def test_a_fork_resumes_without_the_option(
    source: tuple[RunConfig, Path], make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Any
):
    run = make_run(reward={"component": TWO}, learner={"temperature": 2.0}, stop={"scores": 60})
    forked(source, run, tmp_path / "whole", quiet)
    fork = find_origin(source[1], None, run)
    parts = tmp_path / "parts"
    with closing(optimize_rounds(run, parts, quiet, Options(local=True, fork=fork))) as rounds:
        next(rounds)
    origin = origin_of(Location(parts))
    assert origin == fork and json.loads((parts / "from.json").read_text())["updates"] > 0
    optimize(run, parts, quiet, Options(local=True, resume=True))
    one, other = rows(tmp_path / "whole"), rows(parts)
    assert one.keys == other.keys and np.array_equal(one.versions, other.versions)
    weighed = weights(tmp_path / "whole"), weights(parts)
    assert all(np.array_equal(weighed[0][name], weighed[1][name]) for name in weighed[0])


def test_updates_count_from_the_fork_on(
    source: tuple[RunConfig, Path], make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Any
):
    stop = {"scores": None, "updates": 8}
    run = make_run(reward={"component": TWO}, stop=stop)
    before = find_origin(source[1], None, run).updates
    summary = forked(source, run, tmp_path / "fork", quiet)
    assert summary.metrics.updates == before + 8
    longer = make_run(reward={"component": TWO}, stop=stop | {"updates": 16})
    summary = optimize(longer, tmp_path / "fork", quiet, Options(local=True, resume=True))
    assert summary.metrics.updates == before + 16


def test_an_older_checkpoint_is_named_by_its_updates(
    source: tuple[RunConfig, Path], make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Any
):
    run = make_run(reward={"component": TWO}, stop={"scores": 10})
    names = [one.name for one in checkpoint.complete(source[1] / "checkpoints")]
    assert len(names) > 2
    updates = int(names[1].split("-")[0])
    for at in (names[1], str(updates)):
        assert find_origin(source[1], at, run).updates == updates
    forked(source, run, tmp_path / "fork", quiet, at=str(updates))
    assert first_checkpoint(tmp_path / "fork").counters["updates"] == updates
    with pytest.raises(ConfigError, match=rf"no checkpoint 7.*{names[1]}"):
        find_origin(source[1], "7", run)


def test_another_algorithm_takes_the_policy_alone(
    source: tuple[RunConfig, Path], make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Any
):
    before = checkpoint.read(checkpoint.complete(source[1] / "checkpoints")[-1])
    for learner in ({"algorithm": "psi"}, {"population": [1.0, 2.0]}):
        run = make_run(reward={"component": TWO}, learner=learner, stop={"scores": 10})
        out = tmp_path / str(*learner)
        forked(source, run, out, quiet)
        after = first_checkpoint(out).tensors
        found = [name for name in after if "online.network." in name or "target.network." in name]
        assert len(found) > 4
        for name in found:
            expected = before.tensors[f"model.online.network.{name.partition('network.')[2]}"]
            assert np.array_equal(after[name], expected), name


def test_a_reward_with_nothing_in_common_takes_the_policy_alone(
    source: tuple[RunConfig, Path], make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Any
):
    run = make_run(reward={"component": [{"name": "sa"}]}, stop={"scores": 10})
    forked(source, run, tmp_path / "fork", quiet)
    assert "its policy alone is taken" in quiet.file.getvalue()
    assert "warm-start" not in rows(tmp_path / "fork").sources


def test_new_components_are_called_for_the_best(
    source: tuple[RunConfig, Path], make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Any
):
    run = make_run(reward={"component": [*TWO, {"name": "sa"}]}, stop={"scores": 10})
    with pytest.raises(ConfigError, match="give --rescore N"):
        forked(source, run, tmp_path / "fork", quiet)
    assert not (tmp_path / "fork").exists()
    forked(source, run, tmp_path / "fork", quiet, rescore=5)
    assert rows(tmp_path / "fork").sources.count("warm-start") == 5


def test_stages_fork_and_are_forked(
    source: tuple[RunConfig, Path], make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Any
):
    stages = [{"stop": {"scores": 20}}, {"stop": {"scores": 20}}]
    run = make_run(reward={"component": TWO}, stage=stages)
    forked(source, run, tmp_path / "stages", quiet)
    before = find_origin(source[1], None, run).updates
    assert first_checkpoint(tmp_path / "stages" / "stage-1").counters["updates"] == before
    plain = make_run(reward={"component": TWO}, stop={"scores": 10})
    origin = find_origin(tmp_path / "stages", None, plain)
    assert "stage-2" in origin.checkpoint and origin.updates > before
    forked((run, tmp_path / "stages"), plain, tmp_path / "last", quiet)
    assert first_checkpoint(tmp_path / "last").counters["updates"] == origin.updates


def test_mistakes_are_one_sentence(
    source: tuple[RunConfig, Path],
    make_run: Callable[..., RunConfig],
    command: Callable[..., Any],
    tmp_path: Path,
):
    file, out = tmp_path / "run.toml", tmp_path / "out"
    file.write_text(to_toml(make_run(reward={"component": TWO}, stop={"scores": 10})))
    start = ("optimize", file, "--out", out, "--local")
    command(*start, "--from", tmp_path).refused("no config file")
    command(*start, "--from", source[1], "--at", "5").refused("has no checkpoint 5; it has ")
    command(*start, "--at", "5").refused("--at needs --from")
    command(*start, "--from", source[1], "--resume").refused("--from begins a new run")
    both = ("--from", source[1], "--warm-start", source[1])
    command(*start, *both).refused("exclude each other")
    other = ("--from", source[1], "--set", "prior=zinc250k")
    command(*start, *other).refused("can't go on from")
    corrects = ("--from", source[1], "--set", "learner.algorithm=g")
    command(*start, *corrects).refused("learner.algorithm = 'g' can't go on from")
    assert not out.exists()
    done = command(*start, "--from", source[1], "--dry-run")
    assert done.code == 0 and "  from        " in done.out and not out.exists(), done
