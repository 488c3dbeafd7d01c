"""Buckets: sequences that are alike share one, and a limited number of each keeps its reward.

All of this is a function of rows in the order that the caller gives. A run takes them by their
reward, the best first (`distributed/replay/worth`). In the order of arrival, repeats included, the
rewards are those of REINVENT4's diversity filters (Blaschke et al. 2020,
https://doi.org/10.1186/s13321-020-00473-0).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Similarity, 0 to 1, of a group to each of N others: float64 [N]. It is the same the other way.
Compare = Callable[[str, Sequence[str]], NDArray[np.float64]]


@dataclass(frozen=True)
class Grouping:
    """A kind of group that sequences may share, and how many of a group are enough."""

    said: str
    """What the sequences of a group share, in words."""
    similar: bool = False
    """Whether groups that are similar enough share a bucket."""
    bucket_size: int = 25
    """How many sequences of a bucket keep their reward, if the config doesn't say."""
    min_score: float = 0.4
    """Reward from which on a sequence takes a place, if the config doesn't say."""
    penalty_multiplier: float = 0.0
    """What the reward of the others is multiplied by, if the config doesn't say."""


@dataclass(frozen=True)
class BucketRule:
    """Which rewards are lowered. Raises ValueError for numbers that would raise a reward."""

    bucket_size: int
    """How many rows of a bucket keep their reward."""
    min_score: float
    """Rows with a lower reward take no place and keep their reward; 0 or more."""
    penalty_multiplier: float
    """What the reward of the others is multiplied by, 0 to 1."""

    def __post_init__(self) -> None:
        if self.bucket_size < 1 or not self.min_score >= 0 or not 0 <= self.penalty_multiplier <= 1:
            raise ValueError(
                f"need bucket_size >= 1, min_score >= 0 and 0 <= penalty_multiplier <= 1: {self}"
            )


def factors(
    rewards: NDArray[np.float64],
    buckets: NDArray[np.int64],
    rule: BucketRule,
    keys: Sequence[str] | None = None,
) -> NDArray[np.float64]:
    """What to multiply each of N rewards by, 1 or `rule.penalty_multiplier`: float64 [N].

    rewards float64 [N] in the order in which rows take their places, buckets int64 [N]. A row takes
    a place if its reward is at least `min_score` (NaN isn't); the first `bucket_size` of a bucket
    keep their reward. With `keys`, a row whose key took a place before is a repeat: it takes none
    and is multiplied, whatever its reward.
    """
    takes = rewards >= rule.min_score
    repeats = np.zeros(len(rewards), bool)
    if keys is not None:
        seen: set[str] = set()
        for row, key in enumerate(keys):
            if key in seen:
                repeats[row] = True
            elif takes[row]:
                seen.add(key)
        takes &= ~repeats
    beyond = takes & (_taken_before(buckets, takes) >= rule.bucket_size)
    return np.where(beyond | repeats, rule.penalty_multiplier, 1.0)


def _taken_before(buckets: NDArray[np.int64], takes: NDArray[np.bool_]) -> NDArray[np.int64]:
    """int64 [N]: how many rows before each one take a place in its bucket."""
    order = np.argsort(buckets, kind="stable")
    taken: NDArray[np.int64] = np.cumsum(takes[order]) - takes[order]
    own = buckets[order]
    first = np.searchsorted(own, own)  # of each bucket the place of its first row
    before = np.empty(len(buckets), np.int64)
    before[order] = taken - taken[first]
    return before


class Leaders:
    """Groups that are similar share the bucket of a leader.

    In the order of the rows: a group that leads a bucket is in it. Any other joins the leader that
    is most similar to it, of equal ones the first, if that similarity is at least `least`; else it
    leads a new bucket. compare: must be symmetric; its answers are kept from call to call.
    """

    def __init__(self, compare: Compare, least: float) -> None:
        self._compare, self._least = compare, least
        self._groups: list[str] = []
        self._number: dict[str, int] = {}
        # numbers of the groups that have ever led; and by the number of each group: the places in
        # this list of those that are similar to it, and their similarities
        self._led: list[int] = []
        self._place: dict[int, int] = {}
        self._near: list[tuple[array[int], array[float]]] = []

    def buckets(self, groups: Sequence[str]) -> NDArray[np.int64]:
        """The bucket of each of N rows, given their groups in order: int64 [N]."""
        bucket_of = [-1] * len(self._led)  # by place; -1 for a group that doesn't lead now
        leaders = 0
        joined: dict[int, tuple[int, int]] = {}  # of how many leaders there were, which was nearest
        found = np.empty(len(groups), np.int64)
        for row, group in enumerate(groups):
            number = self._number_of(group)
            place = self._place.get(number, -1)
            bucket = bucket_of[place] if place >= 0 else -1
            if bucket < 0:
                before, bucket = joined.get(number, (-1, -1))
                if before != leaders:
                    bucket = self._nearest(number, bucket_of)
                    joined[number] = leaders, bucket
            if bucket < 0:
                if place < 0:
                    place = self._lead(number)
                    bucket_of.append(-1)
                bucket = bucket_of[place] = leaders
                leaders += 1
            found[row] = bucket
        return found

    def _nearest(self, number: int, bucket_of: list[int]) -> int:
        """The bucket of the most similar leader; -1 for none."""
        nearest, highest = -1, -1.0
        for place, value in zip(*self._near[number], strict=True):
            bucket = bucket_of[place]
            if bucket >= 0 and (value > highest or (value == highest and bucket < nearest)):
                nearest, highest = bucket, value
        return nearest

    def _number_of(self, group: str) -> int:
        number = self._number.get(group)
        if number is None:
            number = self._number[group] = len(self._groups)
            self._groups.append(group)
            self._near.append((array("i"), array("d")))
            values = self._compare(group, [self._groups[n] for n in self._led])
            for place in np.flatnonzero(values >= self._least).tolist():
                self._add(number, place, values[place])
        return number

    def _lead(self, number: int) -> int:
        """Note that a group leads for the first time; returns its place."""
        place = self._place[number] = len(self._led)
        self._led.append(number)
        values = self._compare(self._groups[number], self._groups)
        for other in np.flatnonzero(values >= self._least).tolist():
            if other != number:
                self._add(other, place, values[other])
        return place

    def _add(self, number: int, place: int, value: float) -> None:
        places, values = self._near[number]
        places.append(place)
        values.append(value)
