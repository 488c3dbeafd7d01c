"""Sets the number of actors: enough to keep the learner busy, within the limits of the config."""

from __future__ import annotations

import math
from typing import Protocol

import ray
from ray.actor import ActorHandle

from sequence_tutor.distributed.metrics.tally import Metrics

# Length of the window that each scaling decision looks at, in seconds.
WINDOW_S = 60.0
# Actors to have, as a multiple of those that would just suffice.
SPARE = 1.15


def actors_wanted(
    actors: int, generating_s: float, learning_s: float, seconds: float, scorers_full: bool
) -> int:
    """Number of actors that would keep the learner always busy.

    In the last `seconds` the `actors` worked `generating_s` in sum and the learner `learning_s`.
    The replay ratio holds these two in a fixed proportion, which gives the actors that an always
    busy learner needs:

        SPARE * (generating_s / seconds) / (learning_s / seconds)

    If the scorers can't keep up (`scorers_full`), more actors would not help, so the result is at
    most `actors`.
    """
    if not generating_s > 0:
        return actors
    learner_share = max(learning_s / seconds, 1e-3)
    wanted = math.ceil(SPARE * generating_s / seconds / learner_share)
    return min(wanted, actors) if scorers_full else wanted


class Group(Protocol):
    """The part of RLlib's EnvRunnerGroup that is used here."""

    _worker_manager: ActorManager

    def add_workers(self, num_workers: int, validate: bool = False) -> None: ...


class ActorManager(Protocol):
    """The part of RLlib's FaultTolerantActorManager that is used here."""

    def actor_ids(self) -> list[int]: ...

    def remove_actor(self, actor_id: int) -> ActorHandle: ...


class ActorScaler:
    """Adds and removes actors of an EnvRunnerGroup, from `least` to `most` of them.

    Ray places a new actor. While the cluster has no room for it, Ray's autoscaler counts it as
    demand. With `least` = `most` the number never changes.
    """

    def __init__(self, group: Group, least: int, most: int) -> None:
        self._group, self._least, self._most = group, least, most
        self._begin_window()

    def _begin_window(self) -> None:
        self._seconds = self._generating_s = self._learning_s = self._crowded_s = 0.0

    def look(self, metrics: Metrics, seconds: float, scorers_full: bool) -> None:
        """Add the work of the last `seconds` to the window; scale when the window is full."""
        if self._least == self._most or not (metrics.learning_s or self._learning_s):
            return  # before the first update the learner's need is unknown
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
            self._scale(ids, max(self._least, min(wanted, self._most)))
            self._begin_window()

    def _scale(self, ids: list[int], wanted: int) -> None:
        if wanted > len(ids):
            self._group.add_workers(wanted - len(ids))
        for actor_id in sorted(ids)[wanted:]:
            # the episodes that it was generating have cost no score yet
            ray.kill(self._group._worker_manager.remove_actor(actor_id))
