"""A reward in separate processes: it may crash, hang, leak or print without harm to the caller."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence

import numpy as np

from sequence_tutor.rewards.base import Identity, Scores
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.isolation.pool import Pool
from sequence_tutor.rewards.isolation.work import Job
from sequence_tutor.rewards.place import Place, Turn

# Seconds between two checks of the pool while a caller waits.
_LOOK_EVERY_S = 0.1


class IsolatedReward:
    """A compiled [reward] section in separate processes; implements `rewards.base.Reward`.

    path: directories of the user's own files, and of modules besides sys.path. turn: its share of
    limits that several scorers keep together. Several threads may score at once: they share the
    processes, and a stuck sequence delays only its own caller. Raises ValueError with one sentence
    where the reward can't be built.
    """

    def __init__(
        self,
        config: RewardConfig,
        domain: str,
        path: Sequence[str] = (),
        turn: Turn | None = None,
    ) -> None:
        self._config = config
        self._pool = Pool(config, domain, Place(tuple(path), turn or Turn()))
        # closes at the latest when this object is collected, or the interpreter ends
        self._close = weakref.finalize(self, self._pool.close)

    def score(
        self,
        sequences: Sequence[str],
        tokens: Sequence[Sequence[str]] | None = None,
        known: Mapping[str, np.ndarray] | None = None,
    ) -> Scores:
        """Score B sequences; a failure of one doesn't raise but becomes its status. known: see
        `Reward`.

        Raises ValueError only where `tokens` isn't one entry per sequence, RuntimeError where this
        is closed.
        """
        if tokens is not None and len(tokens) != len(sequences):
            raise ValueError(f"{len(sequences)} sequences came with {len(tokens)} token lists")
        self._pool.check()
        job = self._pool.submit(sequences, tokens, known)
        self._await(job)
        return job.scores(self._config)

    def identify(self, sequences: Sequence[str]) -> list[Identity]:
        """The identity of each sequence, without calling the reward's components. A sequence whose
        canonical form crashes or hangs its process is invalid, and `lost`. Raises RuntimeError
        where this is closed."""
        self._pool.check()
        job = self._pool.submit_identities(sequences)
        self._await(job)
        return job.identities()

    def _await(self, job: Job) -> None:
        try:
            while not job.done.wait(_LOOK_EVERY_S):
                self._pool.check()
        except BaseException:
            job.abandoned = True
            raise

    def close(self) -> None:
        """End the processes, even while they score."""
        self._close()

    def __enter__(self) -> IsolatedReward:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
