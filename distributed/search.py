"""The driver's part of the search on Ray: asks proposers, and has the screen choose.

    actors and proposers --refs--> candidates --refs--> screens --refs--> scorers

Without a screen all that is proposed goes to the scorers. Proposers and screens hold no state and
nothing that is paid for: what is lost with one of them is proposed again, or never.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import ObjectLostError, OwnerDiedError, RayActorError

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.generating.proposer_process import ProposerProcess
from sequence_tutor.distributed.generating.shares import BatchSizes, batch_sizes
from sequence_tutor.distributed.packing import packed, sent
from sequence_tutor.distributed.population import is_policy
from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.scoring.fleet import check_start
from sequence_tutor.distributed.screening.process import ScreenProcess
from sequence_tutor.distributed.types import POLICY, ActorReport, Generated, ScreenReport
from sequence_tutor.policies.encodings.base import Encoding

# A batch of episodes: the reference to it, and its rows.
Part = tuple[Any, int]
# What a proposer's process returns: its report, and at most one batch.
Made = tuple[ActorReport, list[Part]]

# Seconds before a lost process is asked again, and for which synchronous mode waits for its return.
RETRY_S, RESTART_PATIENCE_S = 0.5, 300.0
# Rounds by which a proposer may be ahead of the slowest one, and rounds of candidates that may wait
# for the screen.
AHEAD, WAITING = 2, 2
# Times that candidates are given to a screen, if it dies with them.
ATTEMPTS = 3


class Search:
    """The proposers beside the policy, and the screens, of a run on Ray.

    lost: batches that were lost with a process before they were scored.
    """

    def __init__(
        self,
        run: RunConfig,
        run_id: str,
        shards: list[ActorHandle],
        replay: ReplayClient,
        encoding: Encoding,
    ) -> None:
        self._run, self._replay, self.lost = run, replay, 0
        here, handles = os.getcwd(), packed(shards)
        whole = sent(run) if run.searches else b""
        self._proposers = {
            (name, worker): _actor(ProposerProcess, config.resources).remote(
                whole, name, worker, handles, encoding, here
            )
            for name, config in run.proposers.all.items()
            for worker in range(1, config.processes + 1)
        }
        screens = run.screen.processes if run.screen is not None else 0
        if run.mode == "synchronous":
            screens = min(screens, 1)
        self._screens = [
            _actor(ScreenProcess, run.screen.resources).remote(whole, worker, handles, run_id, here)
            for worker in range(1, screens + 1)
            if run.screen is not None
        ]
        # lost processes: the call that shows when one is back, and when it was made
        self._down: dict[ActorHandle, tuple[Any, float]] = {}
        self._asked: dict[Any, tuple[str, int]] = {}
        self._rounds: Counter[str] = Counter()
        self._candidates: list[Part] = []
        self._choosing: dict[Any, tuple[ActorHandle, list[Part], int]] = {}
        self._again: list[tuple[list[Part], int]] = []

    @property
    def processes(self) -> list[ActorHandle]:
        """All Ray actors of the search."""
        return [*self._proposers.values(), *self._screens]

    def kill(self) -> None:
        """End all processes."""
        for process in self.processes:
            ray.kill(process)

    # -- synchronous mode --------------------------------------------------------------------------

    def propose_round(
        self, sizes: BatchSizes, iteration: int
    ) -> tuple[list[ActorReport], list[Part]]:
        """A batch of each proposer's processes for this round, in a fixed order. A process that is
        lost is asked again after its restart, and proposes the same. Raises the error of one that
        doesn't come back."""
        ask = {
            process: partial(process.propose.remote, sizes.others[name], iteration)
            for (name, _), process in self._proposers.items()
        }
        calls = {process: call() for process, call in ask.items()}
        made = [_patiently(ask[process], call) for process, call in calls.items()]
        return [report for report, _ in made], _kept([part for _, parts in made for part in parts])

    def choose_round(
        self, references: list[Any], iteration: int
    ) -> tuple[ScreenReport, list[Part]]:
        """The screen's choice of this round, in as many batches as there are scorers. Raises
        OwnerDiedError or ObjectLostError where candidates are lost: make them again."""
        scorers = self._run.scorers.count
        ask = partial(self._screens[0].choose.remote, references, scorers, iteration)
        report, parts = _patiently(ask, ask())
        return report, _kept(parts)

    # -- asynchronous mode -------------------------------------------------------------------------

    @property
    def screens(self) -> bool:
        """Whether there is a screen."""
        return bool(self._screens)

    @property
    def full(self) -> bool:
        """Whether enough candidates wait for the screen."""
        waiting = sum(rows for _, rows in self._candidates)
        return self.screens and waiting >= WAITING * self._run.candidates_per_round

    @property
    def under_way(self) -> int:
        """Sequences that screens are about to choose for the reward."""
        batch = self._run.screen.batch if self._run.screen is not None else 0
        return batch * (len(self._choosing) + len(self._again))

    def may_propose(self, name: str) -> bool:
        """Whether this proposer, or "policy", isn't too far ahead of the others."""
        names = [*self._run.proposers.all, *([POLICY] if self._run.actors.count else [])]
        rounds = {n: self._rounds[n] / self._width(n) for n in names}
        return rounds[name] < min(rounds.values()) + AHEAD

    def ask(self) -> None:
        """Have every idle process of a proposer that isn't ahead propose. The turn of a lost one
        passes, so that the others needn't wait for it."""
        busy = set(self._asked.values())
        idle = [key for key in self._proposers if key not in busy and self.may_propose(key[0])]
        if not idle:
            return
        sizes = self.sizes()
        for name, worker in idle:
            self._rounds[name] += 1
            process = self._proposers[name, worker]
            if self._is_up(process, f"proposer {name!r}"):
                self._asked[process.propose.remote(sizes.others[name])] = name, worker

    def proposed(self) -> list[Made]:
        """What proposers have finished since the last call; doesn't wait."""
        made: list[Made] = []
        for call in _ready(self._asked):
            name, worker = self._asked.pop(call)
            try:
                made.append(ray.get(call))
            except RayActorError as error:
                check_start(error, f"proposer {name!r}")
                self._wait_for(self._proposers[name, worker])
                self.lost += 1
        return made

    def offer(self, source: str, parts: list[Part]) -> None:
        """What an actor or a proposer has made: candidates, if there is a screen."""
        if is_policy(source):
            self._rounds[POLICY] += 1
        if self.screens:
            self._candidates += parts

    def last_processes(self, actors: int) -> int:
        """How many processes there are of the last kind before the scorers."""
        return len(self._screens) or actors + len(self._proposers)

    def gauges(self) -> dict[str, int]:
        """Fields of `Metrics` about proposers and screens."""
        return {"proposers_up": len(self._proposers), "screens_up": len(self._screens)}

    def choose(self) -> None:
        """Give each free screen a round of candidates, as soon as there is one."""
        busy = {screen for screen, _, _ in self._choosing.values()}
        for screen in self._screens:
            if screen in busy or not self._is_up(screen, "screen"):
                continue
            if self._again:
                parts, attempts = self._again.pop()
            elif sum(rows for _, rows in self._candidates) >= self._run.candidates_per_round:
                parts, attempts = self._candidates, 0
                self._candidates = []
            else:
                return
            call = screen.choose.remote([reference for reference, _ in parts], 1)
            self._choosing[call] = screen, parts, attempts + 1

    def chosen(self) -> list[tuple[ScreenReport, list[Part]]]:
        """What screens have chosen since the last call; doesn't wait."""
        made = []
        for call in _ready(self._choosing):
            screen, parts, attempts = self._choosing.pop(call)
            try:
                report, chosen = ray.get(call)
                made.append((report, chosen))
                self.lost += report.lost
            except RayActorError as error:
                check_start(error, "screen")
                self._wait_for(screen)
                if attempts < ATTEMPTS:
                    self._again.append((parts, attempts))
                else:
                    self.lost += len(parts)
            except (OwnerDiedError, ObjectLostError):
                self.lost += len(parts)
        return made

    def drop(self) -> None:
        """Forget all candidates: the budget is used."""
        self._candidates, self._again = [], []

    def sizes(self) -> BatchSizes:
        """Sequences that each process proposes now; see `batch_sizes`."""
        return batch_sizes(self._run, self._replay)

    def _wait_for(self, process: ActorHandle) -> None:
        """Ask nothing of a lost process until it is back: its calls would fail at once."""
        self._down[process] = process.process_id.remote(), time.monotonic()

    def _is_up(self, process: ActorHandle, what: str) -> bool:
        """Whether a process isn't lost, or is back. Raises RuntimeError where it can't start."""
        if process not in self._down:
            return True
        call, asked = self._down[process]
        if not _ready({call: None}):
            return False
        try:
            ray.get(call)
        except RayActorError as error:
            check_start(error, what)
            if time.monotonic() - asked > RETRY_S:
                self._wait_for(process)
            return False
        del self._down[process]
        return True

    def _width(self, name: str) -> int:
        """Processes of a proposer, which all propose in one round."""
        if name == POLICY:
            return max(1, self._run.actors.count)
        return self._run.proposers.all[name].processes


def _actor(kind: type, resources: dict[str, float]) -> Any:
    return ray.remote(kind).options(
        num_cpus=1,
        resources=resources,
        max_restarts=-1,
        max_task_retries=0,
        # outside any placement group: the bundles of a Tune trial have no CPUs for it
        scheduling_strategy="DEFAULT",
    )


def _ready(calls: dict[Any, Any]) -> Sequence[Any]:
    if not calls:
        return []
    ready, _ = ray.wait(list(calls), num_returns=len(calls), timeout=0)
    return list(ready)


def _kept(parts: list[Generated]) -> list[Part]:
    """The batches in the driver's object store, where no other process' death can lose them."""
    return [(ray.put(part), len(part)) for part in parts]


def _patiently(ask: Callable[[], Any], call: Any) -> tuple[Any, list[Generated]]:
    """A report and the batches that it comes with; asks again if the process dies, and raises if it
    doesn't come back."""
    until = time.monotonic() + RESTART_PATIENCE_S
    while True:
        try:
            report, parts = ray.get(call)
            return report, ray.get([reference for reference, _ in parts])
        except RayActorError as error:
            check_start(error, "process of the search")
            if time.monotonic() > until:
                raise
            time.sleep(RETRY_S)
            call = ask()
