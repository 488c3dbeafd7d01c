"""The log of one start of a run: RUN/logs/attempt-N.log.

It has what the start prints, what it would print every ten seconds where a terminal shows a table,
what Python's `logging` and `warnings` say in the driver, and the error that ends it with its
traceback. On this machine each line is written at once, and RUN/logs/newest.log is a link to the
last file. Elsewhere the file is uploaded as `WorkingCopy` says.
"""

from __future__ import annotations

import io
import logging
import os
import re
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleRenderable, RenderHook
from rich.control import Control

from sequence_tutor.distributed.run_directory.working_copy import WorkingCopy
from sequence_tutor.policies.files.storage import Location

# Folder in the run directory, the names of its files, and that of the link.
FOLDER, NAME, NEWEST = "logs", re.compile(r"attempt-(\d+)\.log"), "newest.log"
# Characters in the widest line of a table; sentences aren't wrapped.
WIDTH = 400
# Loggers that stop passing their records on to the root once they are set up.
APART = ("ray",)


class AttemptLog(RenderHook):
    """Writes all that a console prints, once pushed there as a hook. It keeps the text until
    `begin` says where the run directory is; without `begin` there is no file."""

    def __init__(self, console: Console) -> None:
        self._screen = console
        self._text = io.StringIO()
        self._page = Console(file=self._text, width=WIDTH, color_system=None, force_terminal=False)
        self._begun: ExitStack | None = None

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Called by the console with what it prints."""
        # a live table moves the cursor several times a second
        self.note(*(one for one in renderables if not isinstance(one, Control)))
        return renderables

    def note(self, *texts: Any) -> None:
        """Write to the log alone."""
        if texts:
            with suppress(OSError):  # a full disk ends the run elsewhere, with its own sentence
                self._page.print(*texts, soft_wrap=True, markup=False, highlight=False, emoji=False)

    def begin(self, out: Location) -> None:
        """Write into a run directory from now on; does nothing if that has begun."""
        if self._begun is not None:
            return
        self._begun = ExitStack()
        (out / FOLDER).make()
        number = 1 + max(map(_number, (out / FOLDER).names()), default=0)
        folder = self._begun.enter_context(WorkingCopy(out / FOLDER, self._screen)).path
        path = folder / f"attempt-{number}.log"
        file = self._begun.enter_context(path.open("a", encoding="utf-8", buffering=1))
        file.write(self._text.getvalue())
        self._page.file = file
        if out.is_local:
            _link(path)

    def close(self, error: BaseException | None) -> None:
        """Upload the log if need be. error: what ends the attempt; where there is one, a failure
        of the storage isn't raised on top of it."""
        if self._begun is not None:
            self._begun.__exit__(type(error) if error else None, error, None)


@contextmanager
def attempt_log(console: Console) -> Iterator[AttemptLog]:
    """The log of one attempt. An error that ends the block is in it with its traceback."""
    log = AttemptLog(console)
    error: BaseException | None = None
    console.push_render_hook(log)
    log.note(f"sequence-tutor {version('sequence-tutor')}, started {_now()}")
    try:
        with _heard(log.note):
            yield log
    except GeneratorExit as left:
        error = left
        log.note(f"left by its caller {_now()}")
        raise
    except BaseException as raised:
        error = raised
        log.note("".join(traceback.format_exception(raised)).rstrip())
        log.note(f"ended by the error above {_now()}")
        raise
    else:
        log.note(f"ended {_now()}")
    finally:
        console.pop_render_hook()
        log.close(error)


class _Handler(logging.Handler):
    """Hands each record that ends at a logger to a function."""

    def __init__(self, logger: logging.Logger, note: Callable[[str], None]) -> None:
        super().__init__()
        self._logger, self._note = logger, note
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if self._logger.parent is None or not self._logger.propagate:
            self._note(self.format(record))


@contextmanager
def _heard(note: Callable[[str], None]) -> Iterator[None]:
    """Hand what `logging` and `warnings` say to a function too; it is shown as before."""
    root = logging.getLogger()
    loggers = [root, *map(logging.getLogger, APART)]
    handlers: list[tuple[logging.Logger, logging.Handler]] = [
        (logger, _Handler(logger, note)) for logger in loggers
    ]
    if not root.handlers and logging.lastResort is not None:
        handlers.append((root, logging.lastResort))  # logging shows by it while there is no other
    show = warnings.showwarning

    def show_and_note(message: Any, category: Any, filename: Any, lineno: Any, *rest: Any) -> None:
        note(warnings.formatwarning(message, category, filename, lineno).rstrip())
        show(message, category, filename, lineno, *rest)

    for logger, one in handlers:
        logger.addHandler(one)
    warnings.showwarning = show_and_note  # type: ignore[assignment]
    try:
        yield
    finally:
        warnings.showwarning = show
        for logger, one in handlers:
            logger.removeHandler(one)


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _number(name: str) -> int:
    found = NAME.fullmatch(name)
    return int(found[1]) if found else 0


def _link(path: Path) -> None:
    """Have NEWEST point to a log; not every file system has links."""
    link, new = path.with_name(NEWEST), path.with_name(f"{NEWEST}.tmp")
    with suppress(OSError):
        new.unlink(missing_ok=True)
        new.symlink_to(path.name)
        os.replace(new, link)
