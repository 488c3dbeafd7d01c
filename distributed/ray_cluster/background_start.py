"""Runs slow parts of a start in background threads.

The driver's imports take as long as starting Ray. The learner isn't needed at first: actors
generate with the prior, from which it starts, and scorers score these sequences.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from importlib import import_module
from typing import Any


def import_in_background(*modules: str) -> threading.Thread:
    """Import modules in a thread. An import statement for one of them waits for it. An error is
    dropped; the next import of that module raises it again."""

    def work() -> None:
        with suppress(Exception):
            for module in modules:
                import_module(module)

    # no daemon: PyTorch crashes where the interpreter ends during its import
    thread = threading.Thread(target=work, name="imports")
    thread.start()
    return thread


class PendingLearnerGroup:
    """Stands for an RLlib LearnerGroup that a thread builds. Its methods wait for the group, and
    raise the error of a group that can't be built."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._group: Future[Any] = Future()

        def work() -> None:
            try:
                self._group.set_result(build())
            except BaseException as error:
                self._group.set_exception(error)

        # a daemon: it may wait for Ray, and the interpreter shouldn't wait for it at its end
        threading.Thread(target=work, name="learners", daemon=True).start()

    def are_there(self) -> bool:
        """Whether the learners have started. Raises the error of learners that can't start."""
        return self._group.done() and self._group.result() is not None

    def get_state(self, **_: Any) -> dict[str, Any]:
        """An empty state: RLlib would give weights to actors, but ours get them from the board."""
        return {"learner": None}

    def shutdown(self) -> None:
        """End the learners, if they have started; waits for that."""
        if self._group.exception() is None:
            self._group.result().shutdown()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._group.result(), name)
