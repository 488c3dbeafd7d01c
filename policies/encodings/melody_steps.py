"""What may stand at each step of a melody, by a text with a sign for each step.

    C4 . -    this token, and no other
    _         any token: a gap
    X         any note
    ^ v =     a note that is higher than the note before, lower, or the same; if there was no note
              before, any note

    C4---D4---________E4---G4---    a melody with a gap of eight steps
    X---X-X-X---.---                a rhythm
    X---^---v---=---                a contour, with its rhythm

Notes are compared with the one that began last, whether it still sounds or not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sequence_tutor.policies.encodings.vocabulary import UnknownTokenError, Vocabulary
from sequence_tutor.policies.melody_tokens import FIRST_NOTE, TOKENS

GAP, NOTE, HIGHER, LOWER, SAME = "_", "X", "^", "v", "="
RELATIONS = (HIGHER, LOWER, SAME)
_SIGN = re.compile("|".join(map(re.escape, (*TOKENS, GAP, NOTE, *RELATIONS))))
_BARS = re.compile(r"(\d+)(?:-(\d+))?")

# Steps that are done, and the place in TOKENS of the note that began last: 0 where there was none,
# or where no later sign asks for it.
State = tuple[int, int]


def signs_of(text: str) -> list[str]:
    """The signs of a text without a header. Raises ValueError naming the first character that is
    none."""
    signs: list[str] = []
    place = 0
    while place < len(text):
        match = _SIGN.match(text, place)
        if match is None:
            raise ValueError(
                f"{text[:60]!r} is neither a melody nor one with gaps, at character {place + 1}: "
                f"{text[place : place + 3]!r}; notes are {TOKENS[FIRST_NOTE]} to {TOKENS[-1]}"
            )
        signs.append(match.group())
        place = match.end()
    return signs


def with_gaps(signs: Sequence[str], bars: str, bar: int) -> list[str]:
    """The signs with gaps in the place of some bars of `bar` steps each: "3", "3-4" or "1, 3-4",
    counted from 1. Raises ValueError."""
    found, there_are = list(signs), -(-len(signs) // bar)
    for part in bars.split(","):
        match = _BARS.fullmatch(part.strip())
        if match is None:
            raise ValueError(f'bars = {bars!r}: write "3", "3-4" or "1, 3-4"')
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= there_are:
            raise ValueError(f"bars = {bars!r}: the melody has bars 1 to {there_are}")
        for step in range((first - 1) * bar, min(last * bar, len(found))):
            found[step] = GAP
    return found


def _related(relation: str, before: int, note: int) -> bool:
    if before == 0:
        return True
    if relation == SAME:
        return note == before
    return note > before if relation == HIGHER else note < before


class MelodySteps:
    """The rules of a whole melody, for `Constraint`.

    A step is allowed where the rest of the melody can still be written, so a walk never ends
    early: before notes that go up there is room left above. Raises ValueError for a token that the
    vocabulary lacks, and for signs that no melody has.
    """

    start: State = (0, 0)

    def __init__(self, signs: Sequence[str], vocabulary: Vocabulary) -> None:
        for sign in signs:
            if sign in TOKENS and sign not in vocabulary.tokens:
                raise UnknownTokenError(sign, "".join(signs))
        self._signs, self._texts = list(signs), vocabulary.tokens
        places = [TOKENS.index(text) if text in TOKENS else 0 for text in vocabulary.tokens]
        self._notes = [place if place >= FIRST_NOTE else 0 for place in places]
        notes = sorted(set(self._notes) - {0})
        if not notes:
            raise ValueError("the prior has no notes")
        self._can_end = self._ends(notes)
        related = [step for step, sign in enumerate(signs) if sign in RELATIONS]
        self._last_related = max(related, default=-1)

    def complete(self, state: State) -> bool:
        """Whether the melody is over."""
        return state[0] == len(self._signs)

    def needed(self, state: State) -> int:
        """The steps that are left."""
        return len(self._signs) - state[0]

    def after(self, state: State, action: int) -> State | None:
        """The state after a token; None where it isn't allowed."""
        step, before = state
        if step == len(self._signs):
            return None
        note, sign = self._notes[action], self._signs[step]
        if sign == NOTE:
            fits = note > 0
        elif sign in RELATIONS:
            fits = note > 0 and _related(sign, before, note)
        else:
            fits = sign in (GAP, self._texts[action])
        last = note or before
        if not fits or last not in self._can_end[step + 1]:
            return None
        return step + 1, last if step < self._last_related else 0

    def _ends(self, notes: list[int]) -> list[set[int]]:
        """For each number of steps done, the last notes from which the rest can be written; from
        the end, as what may follow a note is known by then."""
        found = [{0, *notes}]
        for step in reversed(range(len(self._signs))):
            sign, later = self._signs[step], found[-1]
            able = [note for note in notes if note in later]
            if sign in RELATIONS:
                now = {b for b in (0, *notes) if any(_related(sign, b, note) for note in able)}
            elif sign in (NOTE, GAP):
                now = {0, *notes} if able else set()
            elif TOKENS.index(sign) >= FIRST_NOTE:
                now = {0, *notes} if TOKENS.index(sign) in later else set()
            else:
                now = set(later)
            if sign == GAP and 0 in self._notes:
                now |= later
            if not now:
                raise ValueError(
                    f"no melody has the signs from step {step + 1} on: its notes would go below "
                    f"{TOKENS[min(notes)]} or above {TOKENS[max(notes)]}"
                )
            found.append(now)
        return found[::-1]
