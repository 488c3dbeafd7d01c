"""What a policy may do at each step of an episode with given parts: a finite automaton.

The states are numbered as they are met, and what may follow each is remembered, so that a batch of
episodes costs a few look-ups a step. A mask is a function of the actions so far. So the policy and
the prior under the same masks are two policies of one process, and KL-control holds for them as for
those without: pi*(tau) ~ p(tau) exp(r(tau)/c), with p the masked prior, normalised at each step.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

import numpy as np

from sequence_tutor.policies.encodings.vocabulary import Vocabulary

# By how many tokens an action may at most raise the number that is needed to complete an episode.
_RISE = 4


class Rules(Protocol):
    """What may be written in a gap, as `SmilesGap` and `MelodySteps`."""

    start: Any

    def complete(self, state: Any) -> bool: ...

    def needed(self, state: Any) -> int: ...

    def after(self, state: Any, action: int) -> Any | None: ...


@dataclass(frozen=True)
class Given:
    """A part that the policy can't choose."""

    actions: tuple[int, ...]
    """Its actions, in order; there may be none."""

    @property
    def needed(self) -> int:
        """Actions until it is over."""
        return len(self.actions)


@dataclass(frozen=True)
class Free:
    """A gap, and the action that ends it."""

    rules: Rules | None
    """What may be written; None for anything."""
    ends_with: int | None
    """The action that ends it; None where the gap is over as soon as its rules are complete, or,
    without rules, where only the length of an episode ends it."""
    last: bool
    """Whether the episode is over with it."""

    @property
    def needed(self) -> int:
        """Actions until it is over, at least; without rules the length of an episode ends it."""
        return 0 if self.rules is None else self.needed_from(self.rules.start)

    def needed_from(self, state: Any) -> int:
        """Actions until it is over, at least, from a state of its rules, which it must have."""
        assert self.rules is not None
        return self.rules.needed(state) + (self.ends_with is not None)


Part = Given | Free
# A part's number, and how many of its actions are done or the state of its rules.
_Place = tuple[int, Hashable]
_OVER = 0


class Constraint:
    """Which actions are allowed at each step of an episode. Raises ValueError where `max_length`,
    in actions, leaves no room for the parts. Threads may share it."""

    def __init__(self, parts: list[Part], vocabulary: Vocabulary, max_length: int) -> None:
        self._parts, self._size, self._max_length = parts, vocabulary.size, max_length
        self._all_needed = [part.needed for part in parts]
        if sum(self._all_needed) > max_length:
            raise ValueError(
                f"the given parts and the shortest gaps take {sum(self._all_needed)} tokens, and "
                f"max_length is {max_length}: raise max_length, or give shorter parts"
            )
        self._lock = Lock()
        self._places: list[_Place] = [(len(parts), 0)]  # state 0: the episode is over
        self._number: dict[_Place, int] = {self._places[0]: _OVER}
        self._allowed = np.zeros((1, self._size), bool)
        self._next = np.full((1, self._size), -1, np.int32)
        self._needed = np.zeros(1, np.int64)
        self.start = self._state(self._entered(0))

    def over(self, states: np.ndarray) -> np.ndarray:
        """bool [B]: whether the episodes in these states, int64 [B], are complete."""
        found: np.ndarray = states == _OVER
        return found

    def allowed(self, states: np.ndarray, step: int) -> np.ndarray:
        """bool [B,V]: the actions allowed in states int64 [B] after `step` actions; at least one in
        each, but none in a complete one."""
        with self._lock:
            masks: np.ndarray = self._allowed[states]
            left = self._max_length - step
            tight = self._needed[states] + _RISE > left
            for state in np.unique(states[tight]).tolist():
                masks[states == state] = self._in_time(state, left)
            return masks

    def advance(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """The states after an action in each: int64 [B] twice -> int64 [B], -1 where the action
        isn't allowed."""
        with self._lock:
            following: np.ndarray = self._next[states, actions]
            for row in np.flatnonzero(following < 0).tolist():
                following[row] = self._after(int(states[row]), int(actions[row]))
            return following

    def masks(self, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """What was allowed at each step of episodes: [B,T], [B] -> bool [B,T,V]; everything after
        the end. Raises ValueError for an episode that breaks the constraint."""
        episodes, steps = tokens.shape
        found = np.ones((episodes, steps, self._size), bool)
        states = np.full(episodes, self.start)
        for t in range(steps):
            rows = np.flatnonzero(lengths > t)
            actions = tokens[rows, t].astype(np.int64)
            masks = self.allowed(states[rows], t)
            if not masks[np.arange(len(rows)), actions].all():
                raise ValueError("an episode doesn't have the given parts of its template")
            found[rows, t] = masks
            states[rows] = self.advance(states[rows], actions)
        return found

    def allows(self, actions: np.ndarray) -> bool:
        """Whether a whole episode, int [T], is allowed and complete."""
        if not 1 <= len(actions) <= self._max_length:
            return False
        state = self._walk(actions)
        ended_by_length = len(actions) == self._max_length and state > _OVER
        return state == _OVER or (ended_by_length and self._at_any_length(state))

    def begins(self, actions: np.ndarray) -> bool:
        """Whether an episode may begin with these actions, int [T], and go on."""
        return self._walk(actions) > _OVER

    def _walk(self, actions: np.ndarray) -> int:
        """The state after actions, int [T]; -1 where one isn't allowed."""
        state = self.start
        with self._lock:
            for step, action in enumerate(actions.tolist()):
                left = self._max_length - step
                tight = self._needed[state] + _RISE > left
                mask = self._in_time(state, left) if tight else self._allowed[state]
                if not mask[action]:
                    return -1
                state = self._after(state, action)
        return state

    def _at_any_length(self, state: int) -> bool:
        """Whether the length alone ends the episode here."""
        part = self._parts[self._places[state][0]]
        return isinstance(part, Free) and part.rules is None

    def _in_time(self, state: int, left: int) -> np.ndarray:
        """The allowed actions after which the episode can be complete within `left` actions, this
        one included; where there are none, those that bring it nearest to its end."""
        allowed = np.flatnonzero(self._allowed[state])
        known = [self._after(state, a) for a in allowed.tolist()]
        needed = self._needed[known]
        mask = np.zeros(self._size, bool)
        if len(allowed):
            mask[allowed[needed <= max(left - 1, int(needed.min()))]] = True
        return mask

    def _state(self, place: _Place) -> int:
        """The number of a place; a new one is added to the tables."""
        if place in self._number:
            return self._number[place]
        state = self._number[place] = len(self._places)
        self._places.append(place)
        if state >= len(self._allowed):
            more = len(self._allowed)
            self._allowed = np.concatenate([self._allowed, np.zeros((more, self._size), bool)])
            self._next = np.concatenate([self._next, np.full((more, self._size), -1, np.int32)])
            self._needed = np.concatenate([self._needed, np.zeros(more, np.int64)])
        for action in range(self._size):
            self._allowed[state, action] = self._place_after(place, action) is not None
        self._needed[state] = self._needed_at(place)
        return state

    def _after(self, state: int, action: int) -> int:
        known = int(self._next[state, action])
        if known >= 0:
            return known
        place = self._place_after(self._places[state], action)
        if place is None:
            return -1
        following = self._state(place)
        self._next[state, action] = following
        return following

    def _place_after(self, place: _Place, action: int) -> _Place | None:
        at, within = place
        if at == len(self._parts):
            return None
        part = self._parts[at]
        if isinstance(part, Given):
            assert isinstance(within, int)
            if part.actions[within] != action:
                return None
            return (at, within + 1) if within + 1 < len(part.actions) else self._entered(at + 1)
        if action == part.ends_with and (part.rules is None or part.rules.complete(within)):
            return (len(self._parts), 0) if part.last else self._entered(at + 1)
        if part.rules is None:
            return place if action != part.ends_with else None
        following = part.rules.after(within, action)
        if following is None:
            return None
        if part.ends_with is None and part.rules.complete(following):
            return (len(self._parts), 0) if part.last else self._entered(at + 1)
        return at, following

    def _entered(self, at: int) -> _Place:
        """The place at the beginning of a part, or of the next one that isn't empty."""
        while at < len(self._parts):
            part = self._parts[at]
            if isinstance(part, Free):
                return at, 0 if part.rules is None else part.rules.start
            if part.actions:
                return at, 0
            at += 1
        return at, 0

    def _needed_at(self, place: _Place) -> int:
        at, within = place
        if at == len(self._parts):
            return 0
        part, after = self._parts[at], sum(self._all_needed[at + 1 :])
        if isinstance(part, Given):
            assert isinstance(within, int)
            return len(part.actions) - within + after
        if part.rules is None:
            return after
        return part.needed_from(within) + after
