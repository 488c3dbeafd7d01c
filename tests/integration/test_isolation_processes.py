"""The processes of an isolated reward: replaced when they die, and ended with their parent."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.isolation.reward import IsolatedReward

Make = Callable[..., IsolatedReward]
GOOD = ["C" * n for n in range(1, 20)]


def alive(pid: int) -> bool:
    """Whether a process runs and isn't a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], object], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def noted_pids(notes: Path) -> list[int]:
    return [int(word) for word in notes.read_text().split()]


@pytest.mark.parametrize("smiles", ["C", "O"], ids=["same session", "session of its own"])
def test_programs_of_a_timed_out_reward_end(make: Make, notes: Path, smiles: str) -> None:
    scores = make("with_helper", timeout_s=4).score([smiles])
    assert scores.status.tolist() == [Status.TIMEOUT]
    child, program, fork_server = noted_pids(notes)
    assert wait_for(lambda: not alive(program)) and not alive(child)
    assert alive(fork_server)


def test_no_process_outlives_a_killed_parent(plugins: Path, notes: Path) -> None:
    code = (
        "from sequence_tutor.rewards.config import RewardConfig\n"
        "from sequence_tutor.rewards.isolation.reward import IsolatedReward\n"
        "part = {'name': 'python', 'function': 'bad_rewards:with_helper'}\n"
        "config = RewardConfig.model_validate({'component': [part]})\n"
        f"IsolatedReward(config, 'molecules', [{str(plugins)!r}]).score(['C', 'O'])\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    try:
        assert wait_for(lambda: len(noted_pids(notes)) == 6)
        assert all(map(alive, noted_pids(notes)))
    finally:
        parent.kill()
        parent.wait()
    assert wait_for(lambda: not any(map(alive, noted_pids(notes))))


def test_no_process_outlives_an_interpreter_that_ends(plugins: Path, notes: Path) -> None:
    code = (
        "import os, threading, time\n"
        "from sequence_tutor.rewards.config import RewardConfig\n"
        "from sequence_tutor.rewards.isolation.reward import IsolatedReward\n"
        "part = {'name': 'python', 'function': 'bad_rewards:with_helper'}\n"
        "config = RewardConfig.model_validate({'component': [part]})\n"
        f"reward = IsolatedReward(config, 'molecules', [{str(plugins)!r}])\n"
        "threading.Thread(target=reward.score, args=[['C']], daemon=True).start()\n"
        "while len(open(os.environ['BAD_REWARDS_NOTES']).read().split()) < 3: time.sleep(0.05)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(noted_pids(notes)) == 3
    assert wait_for(lambda: not any(map(alive, noted_pids(notes))))


def test_no_process_outlives_a_garbage_collected_reward(
    make: Make, plugins: Path, notes: Path
) -> None:
    part = {"name": "python", "function": "bad_rewards:with_helper"}
    config = RewardConfig.model_validate({"component": [part], "timeout_s": 4})
    reward = IsolatedReward(config, "molecules", [str(plugins)])
    reward.score(["C"])
    *_, fork_server = noted_pids(notes)
    assert alive(fork_server)
    del reward
    gc.collect()
    assert wait_for(lambda: not alive(fork_server))


def test_a_killed_fork_server_is_replaced(make: Make, notes: Path) -> None:
    reward = make("with_helper", timeout_s=4)

    def kill_the_fork_server() -> None:
        assert wait_for(lambda: len(noted_pids(notes)) == 3)
        os.kill(noted_pids(notes)[2], signal.SIGKILL)

    killer = threading.Thread(target=kill_the_fork_server)
    killer.start()
    scores = reward.score(["C"])
    killer.join()
    # it wasn't the sequence's fault, so another fork server scored it again
    assert scores.status.tolist() == [Status.TIMEOUT]
    first, second = noted_pids(notes)[:3], noted_pids(notes)[3:]
    assert len(second) == 3 and second[2] != first[2]
    assert wait_for(lambda: not any(map(alive, first)))


def test_a_child_killed_while_idle_is_replaced(make: Make, notes: Path) -> None:
    reward = make("pid")
    first = int(reward.score(["C"]).rewards[0])
    os.kill(first, signal.SIGKILL)
    scores = reward.score(GOOD)
    assert (scores.status == Status.OK).all() and first not in scores.rewards
    # each is scored once, even if the killed child had taken it
    assert notes.read_text().split().count("CC") == 1


def test_one_process_scores_all_without_failures(make: Make) -> None:
    assert len(set(make("pid").score(GOOD).rewards)) == 1


def test_a_forked_copy_of_the_child_sends_no_result(make: Make, notes: Path) -> None:
    scores = make("comes_back_twice", timeout_s=20).score(GOOD)
    assert (scores.status == Status.OK).all()
    assert notes.read_text().split() == GOOD


def test_a_hang_in_one_thread_does_not_block_another(make: Make) -> None:
    reward = make("by_element", timeout_s=4)
    took: dict[str, float] = {}

    def score(name: str, sequences: list[str]) -> None:
        started = time.monotonic()
        reward.score(sequences)
        took[name] = time.monotonic() - started

    hung = threading.Thread(target=score, args=["hung", ["[K]"]])
    hung.start()
    time.sleep(0.3)
    score("good", GOOD)
    assert took == {"good": took["good"]}, "the first is still waiting"
    hung.join()
    assert took["good"] < took["hung"]


def test_scoring_after_close_raises(make: Make) -> None:
    reward = make("carbons")
    with reward:
        assert reward.score(["C"]).status.tolist() == [Status.OK]
    reward.close()
    with pytest.raises(RuntimeError, match="closed"):
        reward.score(["C"])


def test_close_ends_a_waiting_call(make: Make) -> None:
    reward = make("by_element", timeout_s=100)
    threading.Timer(0.5, reward.close).start()
    with pytest.raises(RuntimeError, match="closed"):
        reward.score(["[K]"])


@pytest.mark.parametrize(
    "component",
    [
        {"name": "qde"},
        {"name": "python", "function": "no_such_room:f"},
        {"name": "python", "function": "bad_rewards:no_such_function"},
        {"name": "python", "function": "bad_import:raises"},
        {"name": "similarity", "smiles": "C1"},
    ],
)
def test_a_wrong_config_raises_the_same_error(component: dict[str, object], plugins: Path) -> None:
    config = RewardConfig.model_validate({"component": [component]})
    with pytest.raises(ValueError) as here:
        build_reward(config)
    with pytest.raises(ValueError, match=f"^{re.escape(str(here.value))}$"):
        IsolatedReward(config, "molecules", [str(plugins)])


def test_an_import_that_crashes_raises(tmp_path: Path) -> None:
    (tmp_path / "crashing.py").write_text("import os\nos.write(2, b'bye\\n')\nos.abort()\n")
    part = {"name": "python", "function": "crashing:f"}
    config = RewardConfig.model_validate({"component": [part]})
    with pytest.raises(ValueError, match=r"can't be built: aborted \(SIGABRT\): bye"):
        IsolatedReward(config, "molecules", [str(tmp_path)])


def test_processes_that_never_start_are_given_up(tmp_path: Path) -> None:
    """A module that ends every forked process."""
    (tmp_path / "no_forks.py").write_text(
        "import os\nos.register_at_fork(after_in_child=lambda: os._exit(5))\n"
        "def f(smiles): return 1\n"
    )
    part = {"name": "python", "function": "no_forks:f"}
    config = RewardConfig.model_validate({"component": [part]})
    with IsolatedReward(config, "molecules", [str(tmp_path)]) as reward:
        scores = reward.score(["C", "CC"])
    assert scores.status.tolist() == [Status.CRASHED] * 2
    assert scores.errors == ["no process to score it: exited with code 5"] * 2


def test_ten_new_processes_take_under_2_s(make: Make) -> None:
    reward = make("by_element")
    reward.score(["C"])
    started = time.monotonic()
    reward.score(["I"] * 10)
    assert time.monotonic() - started < 2, "ten processes"
