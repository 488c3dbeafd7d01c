"""How many actors a run has: as many as keep its learner busy, within what the config allows."""

from __future__ import annotations

import math
from typing import Protocol

import ray
from ray.actor import ActorHandle

from sequence_tutor.distributed.metrics.tally import Metrics

# What is decided is decided from this many seconds of work; the first are of the first minute.
WINDOW_S = 60.0
# Actors beyond those that would just do.
SPARE = 1.15


def actors_wanted(
    actors: int, generating_s: float, learning_s: float, seconds: float, scorers_full: bool
) -> int:
    """Actors that generate what the learner consumes when it is always busy.

    So far `actors` worked `generating_s` in all, over `seconds` in which the learner worked
    `learning_s`. The replay ratio makes them do work in a fixed proportion, so a learner that is
    always busy needs the proportion's actors. Where scorers have more than they can do already,
    more actors would help nobody.
    """
    if not generating_s > 0:
        return actors
    learner_share = max(learning_s / seconds, 1e-3)
    wanted = math.ceil(SPARE * generating_s / seconds / learner_share)
    return min(wanted, actors) if scorers_full else wanted


class Group(Protocol):
    """What is used of RLlib's EnvRunnerGroup."""

    _worker_manager: ActorManager

    def add_workers(self, num_workers: int, validate: bool = False) -> None: ...


class ActorManager(Protocol):
    """What is used of RLlib's FaultTolerantActorManager."""

    def actor_ids(self) -> list[int]: ...

    def remove_actor(self, actor_id: int) -> ActorHandle: ...


class ActorScaler:
    """Adds and removes actors of an EnvRunnerGroup, from `least` to `most` of them.

    A new actor is Ray's to place; while the cluster has no room for it, it is the autoscaler's
    demand. With `least` = `most` nothing ever changes.
    """

    def __init__(self, group: Group, least: int, most: int) -> None:
        self._group, self._least, self._most = group, least, most
        self._begin_window()

    def _begin_window(self) -> None:
        self._seconds = self._generating_s = self._learning_s = self._crowded_s = 0.0

    def look(self, metrics: Metrics, seconds: float, scorers_full: bool) -> None:
        """Take in what was done in the last `seconds`, and decide when it's time to."""
        if self._least == self._most or not (metrics.learning_s or self._learning_s):
            return  # before the first update nobody knows what the learner needs
        self._seconds += seconds
        self._generating_s += metrics.generate_s
        self._learning_s += metrics.learning_s
        self._crowded_s += seconds * scorers_full
        if self._seconds >= WINDOW_S:
            crowded = self._crowded_s * 2 > self._seconds
            ids = self._group._worker_manager.actor_ids()
            wanted = actors_wanted(
                len(ids), self._generating_s, self._learning_s, self._seconds, crowded
            )
            self._become(ids, max(self._least, min(wanted, self._most)))
            self._begin_window()

    def _become(self, ids: list[int], wanted: int) -> None:
        if wanted > len(ids):
            self._group.add_workers(wanted - len(ids))
        for actor_id in sorted(ids)[wanted:]:
            # what it was generating has cost no score yet
            ray.kill(self._group._worker_manager.remove_actor(actor_id))
