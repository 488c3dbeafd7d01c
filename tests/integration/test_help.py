"""The help texts of the command line."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer

from sequence_tutor.distributed.commands import cli

COMMANDS: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]


def help_text(*arguments: str) -> str:
    """The text of a help page, without its frame and line breaks."""
    done = subprocess.run(
        [sys.executable, "-m", "sequence_tutor.distributed.commands.cli", *arguments],
        capture_output=True,
        text=True,
        env={"COLUMNS": "400", "PATH": "", "TERMINAL_WIDTH": "400"},
    )
    assert done.returncode == 0, done
    return " ".join(done.stdout.replace("│", " ").split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_text_is_shown_whole(name: str):
    shown = help_text(name, "--help")
    said = (COMMANDS[name].help or "").replace("\\[", "[")
    assert said and " ".join(said.split()) in shown
    for parameter in COMMANDS[name].params:
        text = (parameter.help or "").replace("\\[", "[")
        assert " ".join(text.split()) in shown, parameter.name


def test_control_a_word_in_brackets_is_shown():
    assert "[reward]" in help_text("score", "--help")


def test_the_version_is_shown():
    assert help_text("--version") == f"sequence-tutor {version('sequence-tutor')}"


def test_the_list_of_commands_is_whole():
    shown = help_text("--help")
    for name, one in COMMANDS.items():
        first = " ".join((one.help or "").split("\n\n")[0].replace("\\[", "[").split())
        assert f"{name} " in shown and first in shown, name


def test_shells_complete_commands():
    done = subprocess.run(
        ["sequence-tutor"],
        executable=str(Path(sys.executable).with_name("sequence-tutor")),
        capture_output=True,
        text=True,
        env={
            "COMP_WORDS": "sequence-tutor optimize --dry",
            "COMP_CWORD": "2",
            "_SEQUENCE_TUTOR_COMPLETE": "complete_bash",
            "PATH": "",
        },
    )
    assert done.stdout.split() == ["--dry-run"], done
    assert "--install-completion" in help_text("--help")
