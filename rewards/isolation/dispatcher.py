"""The dispatcher: gives sequences to children and records the outcome of each. For one thread only.

One child works at a time. If it blocks on something other than the CPU, another child is forked;
when the blocked one finishes its unit and another child is free, the first one is dismissed.
"""

from __future__ import annotations

import math
import selectors
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.isolation import unit_results
from sequence_tutor.rewards.isolation.channel import Channel
from sequence_tutor.rewards.isolation.fork_server import Born, Broken, Ready
from sequence_tutor.rewards.isolation.launcher import Launcher, StderrTail
from sequence_tutor.rewards.isolation.pace import Pace
from sequence_tutor.rewards.isolation.work import Shape, Unit, UnitResult
from sequence_tutor.rewards.isolation.worker import Due, Worker
from sequence_tutor.rewards.place import Place
from sequence_tutor.rewards.words import how_it_ended

# Seconds that building a reward may take.
BUILD_S = 600.0
# After this number of processes in a row that ended before they began a unit, all queued units are
# given up.
MAX_FAILED_STARTS = 3


class Dispatcher:
    """See the module. queue: units to give out; other threads may append to it. shape: that of the
    reward's scores; None until the reward is built."""

    def __init__(self, config: RewardConfig, domain: str, place: Place) -> None:
        self.queue: deque[Unit] = deque()
        self.shape: Shape | None = None
        self._config, self._origin = config, (config, domain, place)
        self._workers: dict[int, Worker] = {}
        self._launcher: Launcher | None = None
        # by `Job.identifies`: of units to be scored, and of those whose keys are wanted
        self._paces = {False: Pace(), True: Pace()}
        self._forked = self._given = self._failed_starts = 0
        # all sources, and the urgent ones: all but the children's results
        self._all, self._urgent = selectors.DefaultSelector(), selectors.DefaultSelector()
        self._all.register(
            self._urgent, selectors.EVENT_READ, lambda: self._wait_and_react(self._urgent, 0)
        )

    def listen(self, source: Any, call: Callable[[], object]) -> None:
        """Call `call` whenever `source` has something to read."""
        self._urgent.register(source, selectors.EVENT_READ, call)

    def turn(self) -> None:
        """Give out units, wait for messages or the next deadline, and react to them.

        Raises ValueError where the reward can't be built the first time.
        """
        if self._launcher is None and (self.queue or self.shape is None):
            self._launch()
        self._feed()
        next_at = min((at for _, at, _ in self._due()), default=math.inf)
        # children have enough units until half of them are done, so results can wait
        nap_s = max((self._nap_s(w) for w in self._workers.values()), default=0.0)
        now = time.monotonic()
        if not (nap_s and self._wait_and_react(self._urgent, min(next_at, now + nap_s))):
            self._wait_and_react(self._all, next_at)
        self._check_deadlines(time.monotonic())

    def _wait_and_react(self, selector: selectors.BaseSelector, until: float) -> bool:
        """Wait for messages and react to all of them; returns whether there was one."""
        wait_s = None if until == math.inf else max(0.0, until - time.monotonic())
        ready = selector.select(wait_s)
        for key, _ in ready:
            if selector.get_map().get(key.fd) is key:  # the call before may have closed it
                key.data()
        return bool(ready)

    def _nap_s(self, worker: Worker) -> float:
        unit = next(iter(worker.sent.values()), None)
        if unit is None:
            return 0.0
        return self._pace(unit).nap_s(len(worker.sent), len(unit.rows))

    def _pace(self, unit: Unit) -> Pace:
        return self._paces[unit.job.identifies]

    def close(self) -> None:
        """End every process."""
        self._all.close()
        self._urgent.close()
        if self._launcher is not None:
            self._launcher.ended()
        for worker in self._workers.values():
            worker.close()

    # -- giving out --------------------------------------------------------------------------

    def _feed(self) -> None:
        """Give out queued units while a child can take them."""
        while self.queue and self._launcher is not None:
            unit = self.queue[0]
            if unit.job.abandoned:
                self.queue.popleft()
                continue
            worker = next((w for w in self._workers.values() if w.is_free()), None)
            if worker is None:
                if sum(w.stuck for w in self._workers.values()) > self._config.waiting:
                    return
                worker = self._fork(self._launcher)
            elif unit.fresh and worker.begun + len(worker.sent):
                self.queue.popleft()
                self._requeue([unit, *worker.dismiss()])
                continue
            ahead = self._pace(unit).ahead(len(unit.rows))
            if len(worker.sent) >= ahead or not worker.give(self._given, unit):
                return
            self._given += 1
            self.queue.popleft()

    def _requeue(self, units: list[Unit]) -> None:
        self.queue.extendleft(reversed(units))

    def _launch(self) -> None:
        self._launcher = launcher = Launcher(*self._origin)
        self.listen(launcher.channel, self._on_answers)
        self.listen(launcher.words, lambda: self._on_stderr(launcher.words))

    def _fork(self, launcher: Launcher) -> Worker:
        self._forked += 1
        worker = self._workers[self._forked] = Worker(self._forked)
        self._all.register(worker.channel, selectors.EVENT_READ, lambda: self._on_reports(worker))
        self.listen(worker.words, lambda: self._on_stderr(worker.words))
        launcher.fork(worker.number, worker.far, worker.words.write_end)
        worker.words.hand_over()
        return worker

    # -- messages ----------------------------------------------------------------------------

    def _on_stderr(self, words: StderrTail) -> None:
        if not words.read():
            self._urgent.unregister(words)

    def _on_answers(self) -> None:
        launcher = self._launcher
        assert launcher is not None
        try:
            for answer in launcher.answers():
                if isinstance(answer, Ready):
                    launcher.ready, self.shape = True, answer.shape
                elif isinstance(answer, Broken):
                    launcher.broken = answer.error
                elif worker := self._workers.get(answer.number):
                    if isinstance(answer, Born):
                        worker.started(answer.pid)
                    else:
                        self._on_ended(worker, answer.error or how_it_ended(answer.status))
        except EOFError:
            self._on_fork_server_lost(launcher)

    def _on_fork_server_lost(self, launcher: Launcher) -> None:
        self._unregister(launcher.channel, launcher.words)
        self._launcher = None
        how = launcher.ended()
        if self.shape is None:
            raise ValueError(launcher.broken or f"the reward can't be built: {how}")
        for worker in list(self._workers.values()):
            worker.kill_group()
            worker.not_its_fault = True
            self._on_ended(worker, how)
        self._count_failed_start(launcher.broken or how)

    def _on_reports(self, worker: Worker) -> None:
        if worker.verdict is not None and worker.verdict[0] == Status.CRASHED:
            return  # it has sent unreadable messages
        try:
            for report in worker.reports():
                if report.done is not None:
                    self._on_done(worker, report.done)
                if report.started is not None:
                    worker.begin(report.started)
                    self._failed_starts = 0
                if report.ending is not None:
                    worker.ending = report.ending
                    self._requeue(worker.leave())
        except Exception as error:  # the process may have overwritten anything
            text = f"its process sent an unreadable message: {type(error).__name__}: {error}"
            self._kill(worker, (Status.CRASHED, text))

    def _on_done(self, worker: Worker, done: UnitResult) -> None:
        unit = worker.finish(done)
        self._pace(unit).note(len(unit.rows), done.seconds)
        self._requeue(unit_results.enter(unit, done))
        if worker.stuck:
            worker.stuck = False
            if any(w.is_free() for w in self._workers.values() if w is not worker):
                self._requeue(worker.dismiss())

    # -- deadlines and ends ------------------------------------------------------------------

    def _due(self) -> list[tuple[Worker | None, float, Due]]:
        """The next deadline of each worker, and of the fork server (None) until it is ready."""
        others_wait = bool(self.queue) or any(w.sent for w in self._workers.values())
        due: list[tuple[Worker | None, float, Due]] = []
        for worker in self._workers.values():
            unit = worker.unit
            patience_s = 0.0 if unit is None else self._pace(unit).patience_s(len(unit.rows))
            due.append((worker, *worker.due(patience_s, others_wait)))
        if self._launcher is not None and not self._launcher.ready:
            due.append((None, self._launcher.since + BUILD_S, Due.UNBORN))
        return due

    def _check_deadlines(self, now: float) -> None:
        for worker, at, why in self._due():
            if at > now:
                continue
            if worker is None:
                assert self._launcher is not None
                self._launcher.give_up(f"took longer than {BUILD_S:g} s")
            elif why is Due.UNKILLABLE:
                self._on_ended(worker, "it can't be killed")
            elif why is Due.UNBORN:
                worker.not_its_fault = True
                self._kill(worker)
            elif why is Due.TIME_OUT:
                unit = worker.unit
                self._on_reports(worker)  # its results may have arrived
                if unit is not None and worker.unit is unit:
                    self._kill(worker, (Status.TIMEOUT, unit.job.late))
            elif why is Due.SUSPECT and worker.is_idle(now):
                worker.stuck = True
                self._requeue(worker.take_back())

    def _kill(self, worker: Worker, judgement: tuple[Status, str] | None = None) -> None:
        if worker.killed_at is not None or self._launcher is None:
            return
        worker.killed_at, worker.verdict, worker.stuck = time.monotonic(), judgement, False
        self._requeue(worker.leave())
        self._launcher.kill(worker.number)

    def _on_ended(self, worker: Worker, how: str) -> None:
        """Settle the units of a child that has ended, or can't be killed."""
        self._on_reports(worker)
        worker.words.read()
        self._requeue(worker.leave())
        again = unit_results.worker_ended(worker, how, self._config)
        del self._workers[worker.number]
        self._unregister(worker.channel, worker.words)
        worker.close()
        self._requeue(again)
        if not worker.begun and not worker.dismissed:
            self._count_failed_start(how)

    def _unregister(self, *sources: Channel | StderrTail) -> None:
        for source in sources:
            for selector in (self._all, self._urgent):
                with suppress(KeyError):
                    selector.unregister(source)

    def _count_failed_start(self, how: str) -> None:
        """Note that a process ended before it began a unit; after MAX_FAILED_STARTS in a row give
        up all queued units."""
        self._failed_starts += 1
        if self._failed_starts < MAX_FAILED_STARTS:
            time.sleep(0.1 * self._failed_starts)
            return
        self._failed_starts = 0
        while self.queue:
            unit_results.give_up(self.queue.popleft(), how)
