"""Programs, servers and functions of files, in the processes that rewards run in."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from http_fixtures import Asked, Reply, Server

from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.isolation.reward import IsolatedReward
from sequence_tutor.rewards.place import Turn

PROGRAMS = Path(__file__).parents[1] / "plugins" / "programs"
SECRET = "s3cret-t0ken-of-a-user"
Make = Callable[..., IsolatedReward]


@pytest.fixture
def isolated() -> Iterator[Make]:
    made: list[IsolatedReward] = []

    def make(
        directory: Path | None = None,
        turn: Turn | None = None,
        section: dict[str, Any] | None = None,
        **part: Any,
    ) -> IsolatedReward:
        config = RewardConfig.model_validate({"component": [part], **(section or {})})
        path = [] if directory is None else [str(directory)]
        made.append(IsolatedReward(config, "molecules", path, turn))
        return made[-1]

    yield make
    for one in made:
        one.close()


def by_line(notes: Path) -> dict[str, Any]:
    command = [sys.executable, str(PROGRAMS / "by_line.py"), str(notes)]
    return {"name": "process", "command": command}


def started(notes: Path) -> list[int]:
    lines = notes.read_text().splitlines() if notes.exists() else []
    return [int(line.split()[1]) for line in lines if line.startswith("start")]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + 20
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_the_deadline_ends_the_program_and_another_goes_on(isolated: Make, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    reward = isolated(section={"timeout_s": 5, "waiting": 0}, **by_line(notes))
    assert reward.score(["C"]).rewards.tolist() == [1]
    (first,) = started(notes)
    assert is_alive(first)
    scores = reward.score(["CC", "O", "CCC"])  # O never gets an answer
    assert scores.status.tolist() == [Status.OK, Status.TIMEOUT, Status.OK]
    assert scores.errors[1] == "took longer than timeout_s = 5"
    assert wait_for(lambda: not is_alive(first))
    *_, last = started(notes)
    assert last != first and is_alive(last)
    reward.close()
    assert wait_for(lambda: not is_alive(last))


def test_a_batch_program_is_ended_too_and_its_batch_divided(isolated: Make, tmp_path: Path) -> None:
    (tmp_path / "length").write_text(
        "#!/bin/sh\n"
        "echo $$ >> pids\n"
        "while read smiles; do\n"
        '    [ "$smiles" = O ] && sleep 600\n'
        "    echo ${#smiles}\n"
        "done\n"
    )
    (tmp_path / "length").chmod(0o755)
    # a shell starts fast, so that the good one is done in time on a busy machine too
    reward = isolated(
        tmp_path,
        section={"timeout_s": 2},
        name="process",
        command=["./length"],
        protocol="batch",
    )
    scores = reward.score(["C", "O"])
    assert scores.status.tolist() == [Status.OK, Status.TIMEOUT]
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 3 and wait_for(lambda: not any(map(is_alive, pids)))


def test_a_program_that_dies_loses_only_its_sequence(isolated: Make, tmp_path: Path) -> None:
    reward = isolated(**by_line(tmp_path / "notes"))
    scores = reward.score(["C", "Cl", "CC", "F", "CCC"])
    assert [n for n, status in enumerate(scores.status) if status] == [1, 3]
    assert scores.errors[1] == "process: exited with code 7: fatal: no memory"
    assert scores.rewards[[0, 2, 4]].tolist() == [1, 2, 3]


def test_a_file_is_found_where_the_run_was_started(isolated: Make, tmp_path: Path) -> None:
    """And the state is made once in each process, at its first sequence."""
    (tmp_path / "scores.py").write_text(
        "import os\n"
        "def load(note):\n"
        "    open(note, 'a').write(f'{os.getpid()} ')\n"
        "    return os.getpid()\n"
        "def score(smiles, state):\n"
        "    assert state == os.getpid()\n"
        "    return len(smiles)\n"
    )
    note = tmp_path / "note"
    reward = isolated(
        tmp_path,
        name="python",
        function="scores.py:score",
        initialise="scores.py:load",
        options={"note": str(note)},
    )
    assert not note.exists()
    assert reward.score(["C" * n for n in range(1, 9)]).rewards.tolist() == list(range(1, 9))
    pids = note.read_text().split()
    assert len(pids) == len(set(pids)) and str(os.getpid()) not in pids


def test_the_rate_holds_over_scorers_and_their_processes(isolated: Make, server: Server) -> None:
    """Two scorers share 20 requests a second. Each has several processes, since the server takes
    time to answer. The n-th request comes no earlier than the n-th slot, however busy the machine
    is."""
    rate, n = 20, 24

    def answer(one: Asked) -> Reply:
        time.sleep(0.25)
        return Reply([len(text) for text in one.body["sequences"]])

    server.answer = answer
    rewards = [
        isolated(name="rest", url=server.url, rate=rate, turn=Turn(scorer, 2))
        for scorer in range(2)
    ]
    start = time.time()
    threads = [threading.Thread(target=reward.score, args=[["C"] * (n // 2)]) for reward in rewards]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = sorted(one.at for one in server.asked)
    assert len(times) == n and len({one.port for one in server.asked}) > 2
    assert all(at - start >= (k - 1) / rate for k, at in enumerate(times))


@pytest.fixture
def at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "molecules.smi").write_text("C\nCC\nCN\n")
    return tmp_path


def test_no_file_of_a_run_has_the_secret(
    command: Callable[..., Any], at_work: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a record that has errors in which the server repeats it."""
    monkeypatch.setenv("TOKEN", SECRET)

    def answer(one: Asked) -> Reply:
        if one.body["sequences"] == ["CN"]:
            return Reply({"detail": f"who is {one.headers['authorization']}?"}, 403)
        return Reply([len(text) for text in one.body["sequences"]])

    server.answer = answer
    (at_work / "my.toml").write_text(
        f'[[reward.component]]\nname = "rest"\nurl = "{server.url}"\n'
        'headers = { Authorization = "Bearer ${TOKEN}" }\n'
    )
    done = command("score", "my.toml", "molecules.smi", "--out", "out/scores.csv", "--local")
    assert done.code == 0 and SECRET not in done.out + done.err
    assert SECRET in server.asked[0].headers["authorization"]
    files = {p: p.read_bytes() for p in (at_work / "out").rglob("*") if p.is_file()}
    assert len(files) > 3 and not [p for p, text in files.items() if SECRET.encode() in text]
    assert any(b"Bearer ${TOKEN}" in text for p, text in files.items() if p.name == "config.toml")
    assert b"who is Bearer ${TOKEN}?" in files[at_work / "out" / "scores.csv"]


@pytest.mark.parametrize(
    ("component", "words", "engine"),
    [
        ('name = "process"\ncommand = ["no-such-program"]', "'no-such-program'", "--out=out.csv"),
        ('name = "process"\ncommand = "dock"', "command is a list", "--local"),
        ('name = "rest"\nurl = "http://x/"\nheaders.A = "${NO_SUCH}"', "NO_SUCH", "--local"),
        ('name = "python"\nfunction = "none.py:f"', "no file 'none.py'", "--local"),
        ('name = "python"\nfunction = "mine.py:f"\noptions = { a = 1 }', "option", "--local"),
        (
            'name = "rest"\nurl = "http://x/"\nrate = 0.01',
            "beyond reward.timeout_s = 300",
            "--out=out.csv",
        ),
    ],
)
def test_a_mistake_ends_the_command_before_anything_starts(
    command: Callable[..., Any], at_work: Path, component: str, words: str, engine: str
) -> None:
    (at_work / "mine.py").write_text("def f(smiles):\n    return 1\n")
    (at_work / "my.toml").write_text(f"[[reward.component]]\n{component}\n")
    command("score", "my.toml", "molecules.smi", engine).refused(words)
    assert {p.name for p in at_work.iterdir()} - {"__pycache__"} == {
        "mine.py", "my.toml", "molecules.smi",
    }  # fmt: skip
