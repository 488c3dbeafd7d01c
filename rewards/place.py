"""Where a reward is built: what it must know beside its config, which is the same everywhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Turn:
    """The share that one of several scorers has of a limit which all of them keep together."""

    scorer: int = 0
    """Number of the scorer, from 0; no two that run at a time have the same."""
    scorers: int = 1
    """The greatest number of scorers at a time."""


@dataclass(frozen=True)
class Place:
    """The surroundings of a reward."""

    directories: tuple[str, ...] = ()
    """Where the user's files are, such as the directory where the run was started; then comes the
    working directory of the process."""
    turn: Turn = Turn()
    """Its share of the limits of the whole run."""

    def find(self, path: str) -> Path | None:
        """The file or directory that a config names, relative to the first of the directories that
        has it; None where none has."""
        places = [*self.directories, os.getcwd()]
        return next((found for one in places if (found := Path(one, path)).exists()), None)

    @property
    def directory(self) -> Path:
        """The first of the directories that exists on this machine."""
        return next((Path(one) for one in self.directories if Path(one).is_dir()), Path.cwd())


@dataclass(frozen=True)
class TextJudge:
    """What a component of texts makes when a reward is built (see `registry.Component.texts`)."""

    call: Callable[[Any], Any]
    """One text -> its value; with `at_once` B texts -> B values, or exceptions, one for each. What
    it raises is the failure of all that it was given. Called in the processes that score alone, so
    what can't be copied by a fork (programs, threads, connections) starts at its first call."""
    at_once: bool = False
    """Whether it takes a whole batch."""
