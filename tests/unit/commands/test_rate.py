"""`sequence-tutor rate`: marks of a person, in a terminal or by a file."""

from __future__ import annotations

import csv
import io
import os
import random
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from records import rows_on_record
from rich.console import Console

from sequence_tutor.distributed.commands import player as players
from sequence_tutor.distributed.commands import rate as command_module
from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.commands.player import Player
from sequence_tutor.distributed.commands.rated_next import rated_next
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import parse_config
from sequence_tutor.distributed.report.best_shown import TOO_SIMILAR
from sequence_tutor.distributed.run_directory.record_rows import RecordRows
from sequence_tutor.distributed.screening.tanimoto import Indicators
from sequence_tutor.policies.encodings.melody import MelodyEncoding
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.pretrain import Pretraining, PretrainSettings
from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.ratings import Rating, ratings_csv, read_ratings
from sequence_tutor.rewards.single import value_of

Command = Callable[..., Any]
BEATS = ("C4---", "D4-E4-", "F4---", "G4-A4-", "C5---")


@pytest.fixture(scope="module")
def melodies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of melodies with a tiny prior."""
    place = tmp_path_factory.mktemp("rate")
    rng = random.Random(0)
    tunes = ["".join(rng.choices(BEATS, k=8)) for _ in range(40)]
    settings = PretrainSettings(
        cell="gru", hidden=8, layers=1, embedding=4, epochs=1, validation=0.25
    )
    Pretraining(MelodyEncoding.fit([]), tunes, settings, "cpu").run(place / "prior", lambda _: None)
    run = {
        "encoding": "melody",
        "prior": str(place / "prior"),
        "mode": "synchronous",
        "reward": {"aggregate": "sum", "component": [{"name": "key"}, {"name": "step_share"}]},
        "learner": {"batch": 8, "temperature": 0.5, "threads": 1},
        "replay": {"min_rows": 16, "ratio": 1.0},
        "actors": {"batch": 32},
        "stop": {"scores": 60},
    }
    optimize(parse_config(run), place / "run", Console(quiet=True), Options(local=True))
    return place / "run"


@pytest.fixture
def run(melodies: Path) -> Path:
    """The run, without a mark."""
    (melodies / "ratings.csv").unlink(missing_ok=True)
    return melodies


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets a person type these lines, on a machine without a player."""
    monkeypatch.setattr(players, "PLAYERS", {})

    def answers(*lines: object) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))

    return answers


def marks(run: Path) -> list[Rating]:
    return read_ratings((run / "ratings.csv").read_bytes())


def test_marks_are_typed(run: Path, command: Command, typed: Callable[..., None]):
    typed(5, "S", "p", "great", "6", 1, 3, "q", 2)
    done = command("rate", run)
    assert done.code == 0, done
    assert [one.mark for one in marks(run)] == [5, 1, 3]
    assert all(one.time.endswith("+00:00") for one in marks(run))
    for part in ("1 of 10: ", "5 of 10: ", "'great' is none of these: a mark is a whole number"):
        assert part in done.out, part
    assert "6 of 10" not in done.out and done.out.count("no program here plays it") == 6
    assert "3 marks are in" in done.out and "the component preference needs 10" in done.out
    keys = set(rows_on_record(run / "scores").keys)
    assert {one.sequence for one in marks(run)} <= keys


def test_the_next_session_goes_on_with_others(
    run: Path, command: Command, typed: Callable[..., None]
):
    typed(1, 2, 3)  # and then the input ends, as after Ctrl-D
    assert command("rate", run, "-n", 5).code == 0
    first = marks(run)
    typed(*[4, 5] * 5)
    done = command("rate", run, "--seed", 1)
    assert done.code == 0 and len(first) == 3 and len(marks(run)) == 13
    assert marks(run)[:3] == first and len({one.sequence for one in marks(run)}) == 13
    assert 'name = "preference", file = ' in done.out


def test_an_interrupted_session_keeps_its_marks(
    run: Path, command: Command, typed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    class Interrupted(io.StringIO):
        def readline(self, *_: Any) -> str:
            line = super().readline()
            if not line:
                raise KeyboardInterrupt
            return line

    typed()
    monkeypatch.setattr(sys, "stdin", Interrupted("2\n4\n"))
    done = command("rate", run)
    assert done.code == 0 and "2 marks are in" in done.out, done
    assert [one.mark for one in marks(run)] == [2, 4]


def test_sounds_can_be_played(
    run: Path,
    command: Command,
    typed: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    """A program that plays is called with the path of a WAV; one that fails is not called again."""
    for name, code in (("fails", 1), ("plays", 0)):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\nhead -c 4 "$2" >> {tmp_path}/{name}.log\nexit {code}\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    typed(5, "p", "q")
    monkeypatch.setattr(players, "PLAYERS", {"fails": ("-q",), "plays": ("-q",), "none": ()})
    done = command("rate", run)
    assert done.out.count("played by plays") == 3, done
    assert (tmp_path / "plays.log").read_text() == "RIFF" * 3
    assert (tmp_path / "fails.log").read_text() == "RIFF"


def test_a_long_sound_ends_with_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program = tmp_path / "slow"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(players, "PLAYERS", {"slow": ()})
    player = Player()
    assert player.play(tmp_path / "a.wav") == "slow"
    playing = player._playing
    assert playing is not None and playing.poll() is None
    player.stop()
    assert playing.poll() is not None


def test_marks_come_by_a_file(run: Path, command: Command, tmp_path: Path):
    file, folder = tmp_path / "marks.csv", tmp_path / "heard"
    done = command("rate", run, "-n", 6, "--write", file, "--render", folder)
    assert done.code == 0 and "6 sequences are in" in done.out, done
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [row["number"] for row in rows] == list("123456")
    assert all(row["mark"] == "" for row in rows)
    for kind in ("wav", "mid"):
        assert len(list(folder.glob(f"melody-*.{kind}"))) == 6
    assert not (run / "ratings.csv").exists()
    given = ["5", "", "1", "3", "", "2"]
    lines = [
        f"{n},{row['sequence']},{mark}" for n, row, mark in zip("123456", rows, given, strict=True)
    ]
    file.write_text("\n".join(["number,sequence,mark", *lines]))
    done = command("rate", run, "--read", file)
    assert done.code == 0 and f"4 marks of {file} are taken" in done.out, done
    expected = [(row["sequence"], int(m)) for row, m in zip(rows, given, strict=True) if m]
    assert [(one.sequence, one.mark) for one in marks(run)] == expected
    # a changed mind
    file.write_text(f"sequence,mark\n{rows[0]['sequence']},2\n")
    assert command("rate", run, "--read", file).code == 0
    assert marks(run)[0].mark == 2 and len(marks(run)) == 4


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        ("sequence,mark\nC4---,4\nD4---,six\n", ("line 3: mark 'six' must be a whole number",)),
        ("sequence,mark\nC4---,4\nH4---,2\n", ("line 3: 'H4---' isn't valid (not a melody",)),
        ("sequence,mark\nC4---,4\nC4---,2\n", ("line 3: the sequence has mark 4 in line 2",)),
        ("sequence,mark\nC4---,\n", ("has no mark: put a whole number from 1",)),
        ("tune,mark\nC4---,3\n", ("line 1 must name the columns",)),
    ],
)
def test_nothing_of_a_bad_file_is_taken(
    run: Path, command: Command, tmp_path: Path, lines: str, parts: tuple[str, ...]
):
    file = tmp_path / "marks.csv"
    file.write_text(lines)
    command("rate", run, "--read", file).refused(str(file), *parts)
    assert not (run / "ratings.csv").exists()


def test_the_next_run_learns_from_the_marks(
    run: Path, command: Command, typed: Callable[..., None], tmp_path: Path
):
    """The whole way: rate, and a warm start that calls the new component alone."""
    typed(*[1, 2, 3, 4, 5] * 2)
    assert command("rate", run).code == 0
    before, file = rows_on_record(run / "scores"), run / "ratings.csv"
    config, out = tmp_path / "next.toml", tmp_path / "next"
    tables = tomllib.loads((run / "config.toml").read_text())
    part = {"name": "preference", "file": str(file), "weight": 0.5}
    tables["reward"]["component"].append(part)
    config.write_text(tomli_w.dumps(tables))
    start = ("--warm-start", run, "--rescore", 1000, "--local", "--set", "stop.scores=20")
    done = command("optimize", config, "--out", out, *start)
    assert done.code == 0 and "no new call of key, step_share; preference called for" in done.out
    rows = rows_on_record(out / "scores")
    old = {key: row for row, key in enumerate(before.keys)}
    again = [(row, old[key]) for row, key in enumerate(rows.keys) if key in old]
    assert len(again) == int((before.status == Status.OK).sum())
    for new, first in again:
        assert rows.raw["key"][new] == before.raw["key"][first]
        liked = value_of("preference", rows.keys[new], {"file": str(file)}, "melodies")
        assert rows.raw["preference"][new] == liked
        assert rows.rewards[new] == pytest.approx(before.rewards[first] + 0.5 * liked)
    assert np.std(rows.raw["preference"]) > 0
    # other marks are another reward
    typed(5)
    assert command("rate", run, "-n", 1).code == 0
    done = command("optimize", config, "--out", out, "--resume", "--local")
    done.refused("reward.component[2].sha256")


def test_wrong_arguments_are_one_sentence(run: Path, command: Command, tmp_path: Path):
    command("rate", tmp_path).refused("is no run: it has no config.toml")
    command("rate", run, "--read", tmp_path / "none.csv").refused("none.csv")
    command("rate", run, "--read", "a.csv", "-n", 3).refused("leave out -n")
    (tmp_path / "there.csv").touch()
    command("rate", run, "--write", tmp_path / "there.csv").refused("exists already")
    command("rate", run, "--render", tmp_path).refused("choose another --render")
    (run / "ratings.csv").write_text("sequence,mark\nC4---,9\n")
    command("rate", run).refused(f"{run / 'ratings.csv'}, line 2: mark '9' must be")
    (run / "ratings.csv").write_text(
        ratings_csv(Rating(key, 3) for key in rows_on_record(run / "scores").keys)
    )
    command("rate", run).refused("has no valid sequence without a mark")


def test_molecules_are_shown_by_their_numbers(
    make_run: Callable[..., RunConfig], command: Command, typed: Callable[..., None], tmp_path: Path
):
    stages = [{"stop": {"scores": 30}}, {"stop": {"scores": 20}}]
    optimize(make_run(stage=stages), tmp_path / "run", Console(quiet=True), Options(local=True))
    typed("p", 4, 2)
    done = command("rate", tmp_path / "run", "-n", 2)
    assert done.code == 0 and len(marks(tmp_path / "run")) == 2, done
    assert done.out.count("weight, g/mol: ") == 2 and "there is nothing to be heard" in done.out


# -- which are asked for --------------------------------------------------------------------------


def rows_of(rewards: dict[str, float], status: Status = Status.OK) -> RecordRows:
    found = RecordRows(store=None, keys=list(rewards), sequences=list(rewards))  # type: ignore[arg-type]
    found.rewards = np.array(list(rewards.values()))
    found.status = np.full(len(rewards), status, np.int8)
    return found


def none(texts: Any) -> np.ndarray:
    return np.zeros(len(texts))


def test_half_are_the_best_and_half_are_spread(molecules: list[str]):
    domain = domain_of("smiles")
    keys = [str(domain.key(one)) for one in molecules[:400]]
    rows = rows_of({key: float(i) for i, key in enumerate(keys)})
    found = rated_next(rows, [], domain, none, 10, seed=0)
    assert len(set(found)) == 10 and found == rated_next(rows, [], domain, none, 10, seed=0)
    places = sorted(keys.index(key) for key in found)
    assert all(sum(at >= low and at < low + 79 for at in places) >= 1 for low in range(0, 395, 79))
    best = [key for key in found if keys.index(key) >= 300]
    assert len(best) >= 5 and keys[-1] in found
    top = sorted(best, key=keys.index)[-5:]
    counts = domain.features(top)[0]
    alike = Indicators(counts).kernel(counts)
    assert (alike[np.triu_indices(5, 1)] <= TOO_SIMILAR).all()
    assert found != rated_next(rows, [], domain, none, 10, seed=1)
    rest = rated_next(rows, found, domain, none, 10, seed=0)
    assert not set(rest) & set(found)
    # of the best none is like what has a mark, as long as there are others
    best = sorted(rest, key=keys.index)[-5:]
    counts = domain.features([*best, *found])[0]
    assert (Indicators(counts).kernel(counts)[:5, 5:] <= TOO_SIMILAR).all()


def test_likelihood_is_counted_and_what_has_no_reward_is_left_out():
    rewards = {"C4---": 1.0, "D4-E4-F4-": 2.0, "G4-------A4.": 3.0, "B3.B3.": np.nan}
    rows, domain = rows_of(rewards), domain_of("melody")

    def unlikely(texts: Any) -> np.ndarray:
        return np.array([-9.0 if "G4" in text else 0.0 for text in texts])

    assert rated_next(rows, [], domain, none, 1, 0) == ["G4-------A4."]
    assert rated_next(rows, [], domain, unlikely, 1, 0) == ["D4-E4-F4-"]
    assert sorted(rated_next(rows, [], domain, none, 10, 0)) == sorted(rewards)[1:]
    assert rated_next(rows_of(rewards, Status.FAILED), [], domain, none, 10, 0) == []
    everything = [key for key in rewards if key != "C4---"]
    assert rated_next(rows, everything, domain, none, 10, 0) == ["C4---"]


def test_two_sessions_at_once_lose_nothing(tmp_path: Path):
    one, two = (command_module.Ratings(Location(tmp_path)) for _ in range(2))
    one.add([("C4---", 1)])
    two.add([("D4---", 2)])
    one.add([("E4---", 3), ("C4---", 5)])
    assert [(r.sequence, r.mark) for r in marks(tmp_path)] == [
        ("C4---", 5),
        ("D4---", 2),
        ("E4---", 3),
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["ratings.csv"]
