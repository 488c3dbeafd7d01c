"""The log of each start of a run."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from sequence_tutor.distributed.commands import optimize as command_module
from sequence_tutor.distributed.commands.optimize import Options, optimize, optimize_rounds
from sequence_tutor.distributed.commands.retries import optimize_with_retries
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError, to_toml
from sequence_tutor.distributed.metrics.display import Display
from sequence_tutor.distributed.run_directory.attempt_log import attempt_log
from sequence_tutor.distributed.stop_signal import RunError
from sequence_tutor.policies.files.storage import Location

LOCAL = Options(local=True)


def logs(out: Path) -> list[str]:
    return [file.read_text() for file in sorted((out / "logs").glob("attempt-*.log"))]


def test_what_is_printed_is_in_the_log_too(tmp_path: Path):
    file = io.StringIO()
    console = Console(file=file, width=40, markup=False, emoji=False)
    table = Table(title="numbers")
    table.add_row("[bold]", "1")
    with attempt_log(console) as log:
        console.print("before there is a directory")
        assert not list(tmp_path.iterdir())
        log.begin(Location(tmp_path))
        console.print("C[x]C :smile: " * 20, soft_wrap=True)
        console.print(table)
        newest = (tmp_path / "logs" / "newest.log").read_text()
        assert "before there is" in newest and "C[x]C :smile: " * 20 in newest  # while it goes on
    console.print("after its end")
    [text] = logs(tmp_path)
    assert text.startswith("sequence-tutor ") and "\nended 2" in text and "[bold]" in text
    assert "after its end" not in text and "\x1b" not in text
    shown = file.getvalue()
    assert "before there is" in shown and "numbers" in shown and "ended 2" not in shown


def test_a_quiet_console_has_a_log(tmp_path: Path):
    console = Console(quiet=True, file=(file := io.StringIO()))
    with attempt_log(console) as log:
        log.begin(Location(tmp_path))
        console.print("scores 3")
    assert "\nscores 3\n" in logs(tmp_path)[0] and not file.getvalue()


def test_the_table_of_a_terminal_is_a_line_in_the_log(tmp_path: Path):
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with attempt_log(console) as log:
        log.begin(Location(tmp_path))
        with Display(console, log.note) as display:
            display.show("12 s  scores 3", Table(title="scores"))
            display.show("13 s  scores 4")  # too soon for another line
            console.print("warning: look")
    [text] = logs(tmp_path)
    assert "12 s  scores 3\nwarning: look\n" in text and "\x1b" not in text
    assert "scores 4" not in text and "scores 4" in console.file.getvalue()  # type: ignore[attr-defined]


def test_python_s_own_messages_are_in_the_log(
    tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    """And are shown as before, on standard error where no handler is set."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    with warnings.catch_warnings(), attempt_log(quiet) as log:
        warnings.simplefilter("always")
        log.begin(Location(tmp_path))
        logging.getLogger("some.library").warning("a port is in use")
        logging.getLogger("some.library").info("unasked")
        ray = logging.getLogger("ray")
        monkeypatch.setattr(ray, "handlers", ray.handlers[-1:])  # without Ray's own
        # what other tests have left
        monkeypatch.setattr(ray, "disabled", False)
        monkeypatch.setattr(ray, "level", logging.WARNING)
        ray.manager._clear_cache()  # type: ignore[attr-defined]
        for propagate in (True, False):
            monkeypatch.setattr(ray, "propagate", propagate)
            ray.warning("a node is lost")
        warnings.warn("an old option", FutureWarning, stacklevel=1)
    logging.getLogger("some.library").warning("later")
    [text] = logs(tmp_path)
    assert "WARNING some.library: a port is in use\n" in text and "unasked" not in text
    assert "FutureWarning: an old option" in text and "later" not in text
    assert text.count("a node is lost") == 2  # each once
    assert "a port is in use\n" in capsys.readouterr().err
    assert root.handlers == []


def test_an_error_has_its_traceback(tmp_path: Path, quiet: Console):
    with pytest.raises(RunError), attempt_log(quiet) as log:
        log.begin(Location(tmp_path))
        try:
            raise KeyError("the cause")
        except KeyError as error:
            raise RunError("a learner died") from error
    [text] = logs(tmp_path)
    assert "KeyError: 'the cause'" in text and "Traceback" in text
    assert "RunError: a learner died\nended by the error above 2" in text
    assert "Traceback" not in quiet.file.getvalue()  # type: ignore[attr-defined]


def test_a_file_system_without_links_has_the_logs_alone(
    tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    for number in (1, 2):
        with attempt_log(quiet) as log:
            log.begin(Location(tmp_path))
            quiet.print(f"attempt {number}")
    assert sorted(os.listdir(tmp_path / "logs")) == ["attempt-1.log", "attempt-2.log"]
    assert "attempt 2\n" in logs(tmp_path)[1]


def test_numbers_count_up_past_ten(tmp_path: Path, quiet: Console):
    (tmp_path / "logs").mkdir()
    for name in ("attempt-2.log", "attempt-10.log", "attempt-x.log"):
        (tmp_path / "logs" / name).touch()
    with attempt_log(quiet) as log:
        log.begin(Location(tmp_path))
    assert (tmp_path / "logs" / "newest.log").resolve().name == "attempt-11.log"


def test_each_start_of_a_run_has_a_log(
    make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Console
):
    out = tmp_path / "run"
    run = make_run(stop={"scores": 60})
    with closing(optimize_rounds(run, out, quiet, LOCAL)) as rounds:
        next(rounds)
    optimize(run, out, Console(quiet=True), Options(local=True, resume=True))
    first, second = logs(out)
    assert "left by its caller" in first and "an invalid sequence is worth" in first
    assert "\nended 2" in second and "  updates " in second
    assert "the best sequences are in" in second  # the closing tables
    assert (out / "logs" / "newest.log").resolve().name == "attempt-2.log"


def test_a_mistake_leaves_no_log(
    make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Console
):
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").touch()
    with pytest.raises(ConfigError):
        optimize(make_run(), taken, quiet, LOCAL)
    assert [path.name for path in taken.iterdir()] == ["mine.txt"]
    with pytest.raises(ValueError):
        optimize(make_run(prior="none"), tmp_path / "out", quiet, LOCAL)
    assert not (tmp_path / "out").exists()


def test_a_retry_is_an_attempt(
    make_run: Callable[..., RunConfig],
    tmp_path: Path,
    quiet: Console,
    monkeypatch: pytest.MonkeyPatch,
):
    real, calls = command_module._train, []

    def fails_once(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("a node [bold] was lost")
        return real(*arguments)

    monkeypatch.setattr(command_module, "_train", fails_once)
    run = make_run(stop={"scores": 30})
    optimize_with_retries(run, tmp_path / "run", quiet, LOCAL, retries=1, pause_s=0)
    first, second = logs(tmp_path / "run")
    assert "RuntimeError: a node [bold] was lost" in first and "Traceback" not in second


def test_a_run_in_stages_has_one_log_for_all(
    make_run: Callable[..., RunConfig], tmp_path: Path, quiet: Console
):
    stages = [{"stop": {"scores": 20}}, {"stop": {"scores": 20}}]
    optimize(make_run(stage=stages), tmp_path / "run", quiet, LOCAL)
    [text] = logs(tmp_path / "run")
    assert "stage 1 of 2" in text and "stage 2 of 2" in text
    assert text.count("an invalid sequence is worth") == 2
    assert not (tmp_path / "run" / "stage-1" / "logs").exists()


def test_the_command_keeps_a_log(
    make_run: Callable[..., RunConfig], command: Callable[..., Any], tmp_path: Path
):
    (tmp_path / "c.toml").write_text(to_toml(make_run(stop={"scores": 30})))
    done = command("optimize", tmp_path / "c.toml", "--out", tmp_path / "run", "--local")
    [text] = logs(tmp_path / "run")
    for said in ("the best sequences are in", "budget used: 30 scores"):
        assert done.code == 0 and said in done.out and said in text
    assert done.out.splitlines()[-1] == f"look at it: sequence-tutor report {tmp_path / 'run'}"
    command(
        "optimize",
        *(tmp_path / "c.toml", "--out", tmp_path / "run", "--local", "--resume"),
        *("--set", "stop.scores=60"),
    )
    assert len(logs(tmp_path / "run")) == 2
