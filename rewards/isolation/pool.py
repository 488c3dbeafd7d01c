"""The pool: the dispatcher's thread, and the calls by which other threads give it work."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np

from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.isolation.dispatcher import Dispatcher
from sequence_tutor.rewards.isolation.work import IdentityJob, Job, Unit
from sequence_tutor.rewards.place import Place


class Pool:
    """A compiled reward in separate processes. Raises ValueError where it can't be built."""

    def __init__(self, config: RewardConfig, domain: str, place: Place) -> None:
        self._dispatcher, self._config = Dispatcher(config, domain, place), config
        self._error: BaseException | None = None
        self._closing = False
        self._built = threading.Event()
        self._woken, self._wake = socket.socketpair()
        for end in (self._woken, self._wake):
            end.setblocking(False)
        # processes that the dispatcher's thread starts end with that thread
        self._thread = threading.Thread(target=self._run, daemon=True, name="reward processes")
        self._thread.start()
        try:
            self._built.wait()
            if self._error is not None:
                raise self._error
        except BaseException:
            self.close()
            raise

    def submit(
        self,
        sequences: Sequence[str],
        tokens: Sequence[Sequence[str]] | None,
        known: Mapping[str, np.ndarray] | None = None,
    ) -> Job:
        """Queue a batch. Its `done` is set when all is scored; until then call `check`. known: see
        `Reward`."""
        shape = self._dispatcher.shape
        assert shape is not None
        config = self._config
        job = Job(sequences, tokens, shape, config.timeout_s, config.retries, known)
        self._queue(job, at_once=shape.judges_batches)
        return job

    def submit_identities(self, sequences: Sequence[str]) -> IdentityJob:
        """Queue a batch whose keys are wanted; otherwise like `submit`."""
        job = IdentityJob(sequences, self._config.timeout_s)
        self._queue(job, at_once=False)
        return job

    def _queue(self, job: Job, at_once: bool) -> None:
        rows = list(range(len(job.sequences)))
        if not rows:
            job.close(0)
        elif at_once:
            self._dispatcher.queue.append(Unit(job, rows))
        else:
            self._dispatcher.queue.extend([Unit(job, [row]) for row in rows])
        self._wake_thread()

    def check(self) -> None:
        """Raise RuntimeError where the pool has ended, so that no job will be done."""
        if self._closing or not self._thread.is_alive():
            raise RuntimeError("the reward's processes were closed") from self._error

    def close(self) -> None:
        """End every process. Further calls do nothing."""
        if self._closing:
            return
        self._closing = True
        self._wake_thread()
        # a garbage collection may call this in the dispatcher's thread
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _wake_thread(self) -> None:
        with suppress(OSError):  # the socket is full, so the thread will wake, or closed
            self._wake.send(b" ")

    def _run(self) -> None:
        dispatcher = self._dispatcher
        try:
            dispatcher.listen(self._woken, lambda: self._woken.recv(4096))
            while not self._closing:
                dispatcher.turn()
                if dispatcher.shape is not None:
                    self._built.set()
        except BaseException as error:
            self._error = error
        finally:
            dispatcher.close()
            self._woken.close()
            self._wake.close()
            self._built.set()
