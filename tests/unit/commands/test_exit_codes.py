"""The exit codes that docs/commands.md lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sequence_tutor.distributed import config_file
from sequence_tutor.distributed.stop_signal import RunError, StoppedError


@pytest.mark.parametrize(
    "error, code, said",
    [
        (ValueError("a [bold] key"), 2, "error: a [bold] key\n"),
        (OSError("no disk"), 2, "error: no disk\n"),
        (RunError("a learner died"), 1, "error: a learner died\n"),
        (StoppedError("stopped"), 1, "error: stopped\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_has_its_code(
    error: BaseException,
    code: int,
    said: str,
    command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
):
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(config_file, "load_config", refuse)
    done = command("optimize", "run.toml")
    assert (done.code, done.err) == (code, said)


def test_an_unknown_option_is_the_users_mistake(command: Callable[..., Any]):
    assert command("optimize", "run.toml", "--fast").code == 2
    assert command("--help").code == 0
