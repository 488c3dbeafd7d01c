"""A reward that may crash, hang, leak or print, and takes nothing down but itself."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from types import TracebackType

from sequence_tutor.rewards.base import Scores
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.isolation.pool import Pool

_TICK_S = 0.1


class IsolatedReward:
    """A compiled [reward] section in processes of its own; implements `rewards.base.Reward`.

    path: directories to find the user's own modules in, beside this process's. Several threads may
    score at once: they share the processes, and none waits for a sequence of another that is stuck.
    Raises ValueError with one sentence where the reward can't be built.
    """

    def __init__(self, config: RewardConfig, domain: str, path: Sequence[str] = ()) -> None:
        self._config = config
        self._pool = Pool(config, domain, path)
        # at the latest when nobody holds this any more, or at the end of the interpreter
        self._close = weakref.finalize(self, self._pool.close)

    def score(
        self,
        sequences: Sequence[str],
        tokens: Sequence[Sequence[str]] | None = None,
        tick: Callable[[], None] | None = None,
    ) -> Scores:
        """Judge B sequences; never raises for what the reward does with them.

        `tick` is called several times a second while this waits. Raises ValueError only where
        `tokens` isn't one entry per sequence, RuntimeError where this is closed.
        """
        if tokens is not None and len(tokens) != len(sequences):
            raise ValueError(f"{len(sequences)} sequences came with {len(tokens)} token lists")
        self._pool.check()
        job = self._pool.submit(sequences, tokens)
        try:
            while not job.done.wait(_TICK_S):
                self._pool.check()
                if tick is not None:
                    tick()
        except BaseException:
            job.abandoned = True
            raise
        return job.scores(self._config)

    def close(self) -> None:
        """End its processes, whatever they are at."""
        self._close()

    def __enter__(self) -> IsolatedReward:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
