"""The help texts of the command line."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
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
    for parameter in COMMANDS[name].params:
        text = (parameter.help or "").replace("\\[", "[")
        assert " ".join(text.split()) in shown, parameter.name


def test_control_a_word_in_brackets_is_shown():
    assert "[reward]" in help_text("score", "--help")


def test_the_version_is_shown():
    assert help_text("--version") == f"sequence-tutor {version('sequence-tutor')}"
