"""What takes long at the start of a run goes on beside what others have to do meanwhile.

The driver's imports take as long as starting Ray does. And nobody needs the learner at first:
actors generate with the prior, which is what it starts from, and scorers score that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from importlib import import_module
from typing import Any


def import_in_background(*modules: str) -> threading.Thread:
    """Import them in a thread. Who imports one of them meanwhile waits for it; what is wrong with
    one is told to whoever imports it later."""

    def work() -> None:
        with suppress(Exception):
            for module in modules:
                import_module(module)

    # no daemon: PyTorch doesn't survive the end of the interpreter in the middle of its import
    thread = threading.Thread(target=work, name="imports")
    thread.start()
    return thread


class PendingLearnerGroup:
    """Stands for an RLlib LearnerGroup that is being built in a thread. What it is asked waits for
    that, and raises what kept the learners from starting."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._group: Future[Any] = Future()

        def work() -> None:
            try:
                self._group.set_result(build())
            except BaseException as error:
                self._group.set_exception(error)

        # a daemon: it waits for Ray, and at the end of the interpreter nobody waits for it
        threading.Thread(target=work, name="learners", daemon=True).start()

    def are_there(self) -> bool:
        """Raises what kept them from starting."""
        return self._group.done() and self._group.result() is not None

    def get_state(self, **_: Any) -> dict[str, Any]:
        """RLlib asks when it has built them, to hand weights to actors; ours ask the board."""
        return {"learner": None}

    def shutdown(self) -> None:
        """End them; what kept them from starting was told before."""
        if self._group.exception() is None:
            self._group.result().shutdown()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._group.result(), name)
