"""What the command line says of itself."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from typing import Any

import pytest
import typer

from sequence_tutor.distributed.commands import cli

COMMANDS: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]


def helped(*arguments: str) -> str:
    """The words of a help text, without its frame and line breaks."""
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
    shown = helped(name, "--help")
    for parameter in COMMANDS[name].params:
        text = (parameter.help or "").replace("\\[", "[")
        assert " ".join(text.split()) in shown, parameter.name


def test_control_a_word_in_brackets_is_in_one_of_them():
    assert "[reward]" in helped("score", "--help")


def test_version():
    assert helped("--version") == f"sequence-tutor {version('sequence-tutor')}"
