"""A run from Python: it leaves the directory that the command leaves, and Ray as it was."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sequence_tutor.distributed import load_config, optimize, parse_config
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, to_toml
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.prior import load_prior
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.isolation.reward import IsolatedReward

Command = Callable[..., Any]
# Names in the run directory that the command leaves.
FILES = {"config.toml", "logs", "metrics.jsonl", "tensorboard", "scores", "checkpoints", "policy"}
FILES |= {"top.csv", "best", "samples"}
# As in a notebook: no Ray, a function of __main__, and a thread that isn't the main one.
SCRIPT = """
import os, signal, sys, threading
from sequence_tutor.distributed import load_config, optimize, SequenceTutorConfig
prior, calls = sys.argv[1:]
def oxygens(smiles):
    with open(calls, "a") as file:
        file.write(smiles + "\\n")
    return smiles.count("O")
config = {"prior": prior, "mode": "synchronous", "learner": {"batch": 16, "temperature": 0.5},
          "replay": {"min_rows": 16, "ratio": 2.0, "shards": 1},
          "actors": {"batch": 32}, "stop": {"scores": 40},
          "reward": {"component": [{"name": "python", "function": oxygens}]}}
handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
def work():
    global result
    result = optimize(config, "run", quiet=True)
thread = threading.Thread(target=work)
thread.start()
thread.join()
import ray
assert not ray.is_initialized() and "RAY_AUTH_MODE" not in os.environ
assert handlers == [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
print(result.reason, result.metrics.scores_used, result.top[0]["reward"])
"""
# Ray doesn't run: the algorithm starts it.
STEPS = """
import os
from sequence_tutor.distributed import load_config, SequenceTutorConfig
algo = SequenceTutorConfig().tutor(load_config("my.toml"), "steps").build_algo()
done = False
while not done:
    assert not os.path.exists("steps/policy")
    done = algo.train()["done"]
print(algo.tally.updates)
algo.stop()
"""


def of_function(function: Any, **more: Any) -> RewardConfig:
    return RewardConfig.model_validate(
        {"component": [{"name": "python", "function": function, **more}]}
    )


def carbons(smiles: str) -> float:
    return smiles.upper().count("C")


def output(script: str, place: Path, *arguments: str) -> str:
    """What a script prints in a new process; fails if Ray warns of anything."""
    (place / "notebook.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "notebook.py", *arguments],
        cwd=place,
        env={"PATH": "/usr/bin:/bin", "HOME": str(place), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr and "constructor arguments" not in done.stderr, done.stderr
    return done.stdout


def require_readable(place: Path, command: Command) -> None:
    """The commands read a run's directory."""
    assert len(command("sample", place, "-n", 5).out.splitlines()) == 5
    assert "tuned policy" in command("evaluate", place, "-n", 20).out


@pytest.mark.nightly
def test_a_run_from_a_notebook_thread(command: Command, tiny_prior: Path, tmp_path: Path):
    assert output(SCRIPT, tmp_path, str(tiny_prior), "calls.txt").startswith("budget used 40 ")
    run = tmp_path / "run"
    assert {p.name for p in run.iterdir()} == FILES
    assert 'function = "<function oxygens of __main__, ' in (run / "config.toml").read_text()
    assert (tmp_path / "calls.txt").read_text()
    require_readable(run, command)
    # the function is in no file, so the file alone can't go on
    config = run / "config.toml"
    again = command("optimize", config, "--out", run, "--resume", "--set", "stop.scores=50")
    again.refused("<function oxygens of __main__, ", "go on from Python")


@pytest.mark.nightly
def test_steps_from_a_script(command: Command, make_run: Callable[..., RunConfig], tmp_path: Path):
    small = make_run(stop={"scores": 40}, replay={"shards": 1})
    (tmp_path / "my.toml").write_text(to_toml(small))
    updates, steps = int(output(STEPS, tmp_path).split()[-1]), tmp_path / "steps"
    # what `train` leaves at its end
    assert {"policy", "config.toml", "top.csv", "checkpoints", "scores"} <= {
        p.name for p in steps.iterdir()
    }
    assert load_config(steps / "config.toml") == small
    assert load_prior(steps).card["updates"] == updates
    require_readable(steps, command)


def test_arguments_and_result_of_optimize(make_run: Callable[..., RunConfig], tmp_path: Path):
    reward = {"component": [{"name": "logp"}]}
    run = make_run(stop={"scores": 40}, reward=reward, replay={"shards": 1})
    file = tmp_path / "my.toml"
    file.write_text(to_toml(run))
    result = optimize(str(file), str(tmp_path / "a"), local=True, quiet=True)
    assert result.directory == Location(tmp_path / "a") and result.metrics.scores_used == 40
    rewards = [row["reward"] for row in result.top]
    assert rewards == sorted(rewards, reverse=True) and len(rewards) == 40
    assert result.top[0]["raw.logp"] == pytest.approx(rewards[0], rel=1e-4)
    assert len(result.policy().sample(3)) == 3
    assert "tuned policy" in result.comparison
    more = run.model_copy(update={"stop": run.stop.model_copy(update={"scores": 60})})
    again = optimize(more, tmp_path / "a", resume=True, local=True, quiet=True)
    assert again.metrics.scores_used == 60
    with pytest.raises(ConfigError, match="exists already"):
        optimize(run, tmp_path / "a")
    with pytest.raises(ConfigError, match="no config file"):
        optimize("nowhere.toml", tmp_path / "b")
    with pytest.raises(ConfigError, match="unknown key stopp"):
        optimize({"reward": {"component": [{"name": "qed"}]}, "stopp": {}}, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_function_may_be_a_reward():
    def carbons(smiles: str) -> float:
        return smiles.upper().count("C")

    offset = 3
    functions = [carbons, lambda s: s.upper().count("C"), lambda s: carbons(s) + offset - 3]
    for function in functions:
        with IsolatedReward(of_function(function), "molecules") as reward:
            assert reward.score(["CCO", "c1ccccc1"]).rewards.tolist() == [2, 6]
    batched = of_function(lambda many: [len(s) for s in many], batched=True)
    with IsolatedReward(batched, "molecules") as reward:
        assert reward.score(["CCO", "CC"]).rewards.tolist() == [3, 2]


def test_identity_distinguishes_functions():
    def adds(offset: int) -> Callable[[str], float]:
        return lambda s: len(s) + offset

    assert of_function(adds(1)).identity() == of_function(adds(1)).identity()
    different = [of_function(f).identity() for f in (adds(1), adds(2), carbons, "a:carbons")]
    assert len(set(different)) == 4


@pytest.mark.parametrize(
    ("function", "parts"),
    [
        ("__main__:f", ["another process has another __main__", '"my_module:f"']),
        ("<function f of __main__>", ["was given from Python", "go on from Python"]),
        ("f", ['must read "module:function"']),
    ],
)
def test_a_function_no_process_can_import_is_one_sentence(
    command: Command, tiny_prior: Path, tmp_path: Path, function: str, parts: list[str]
):
    path = tmp_path / "run.toml"
    path.write_text(
        f'prior = "{tiny_prior}"\n[[reward.component]]\nname = "python"\nfunction = "{function}"\n'
    )
    command("optimize", path, "--out", tmp_path / "out").refused(*parts)


def test_a_function_that_cannot_be_pickled_is_one_sentence():
    lock = __import__("threading").Lock()

    def locked(smiles: str) -> float:
        with lock:
            return 1.0

    with pytest.raises(ConfigError, match="can't be sent to another process.*put it into a file"):
        parse_config({"reward": {"component": [{"name": "python", "function": locked}]}})


def test_importing_the_package_loads_no_heavy_modules():
    code = (
        "import sys, sequence_tutor.distributed as d\n"
        "assert 'optimize' in dir(d) and not {'ray', 'torch', 'rdkit'} & set(sys.modules)\n"
        "d.load_config\n"
        "assert not {'ray', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
