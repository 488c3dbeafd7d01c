"""Melodies of which each step is given, or is a gap: one to fill, a rhythm or a contour to keep.

A text has a sign for each step: a token, which is kept; `_` for any token; X for any note; and
^ v = for a note that is higher than the note before, lower, or the same. The policy writes by the
same signs (`policies.encodings.melody_steps`); here children of melodies are made to keep them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from sequence_tutor.rewards.given_parts import GivenParts, Spelling
from sequence_tutor.rewards.melodies.melody import FIRST_PITCH, Ints
from sequence_tutor.rewards.melodies.spelling import TEXTS, parse
from sequence_tutor.rewards.melodies.time import Time, split_header

GAP, NOTE, HIGHER, LOWER, SAME = "_", "X", "^", "v", "="
_FREE = (GAP, NOTE, HIGHER, LOWER, SAME)
_SIGN = re.compile("|".join(map(re.escape, (*TEXTS, *_FREE))))
_NOTES = TEXTS[FIRST_PITCH:]


class GivenSteps(GivenParts):
    """Melodies that have these signs; a melody has one spelling."""

    filling = ""

    def __init__(self, time: Time, signs: Sequence[str]) -> None:
        self._time, self._signs = time, list(signs)
        super().__init__([Spelling((time.header + "".join(signs), ""), ("steps",))])

    def example(self, spelling: Spelling) -> str:
        """What is given, with holds in the gaps and for notes that are to be chosen."""
        signs = ("-" if sign in _FREE else sign for sign in self._signs)
        return self._time.header + "".join(signs)

    def spell(self, sequence: str, random: np.random.Generator | None = None) -> str | None:
        """The melody itself, where it has the signs."""
        melody = parse(sequence)
        kept = melody is not None and melody.time == self._time and self.kept_by(melody.tokens)
        return sequence if kept else None

    def kept_by(self, tokens: Ints) -> bool:
        """Whether a melody, int64 [T], has the signs."""
        if len(tokens) != len(self._signs):
            return False
        before = 0
        for token, sign in zip(tokens.tolist(), self._signs, strict=True):
            is_note = token >= FIRST_PITCH
            if sign not in _FREE and TEXTS[token] != sign:
                return False
            if sign in (NOTE, HIGHER, LOWER, SAME) and not is_note:
                return False
            if before and (
                (sign == HIGHER and token <= before)
                or (sign == LOWER and token >= before)
                or (sign == SAME and token != before)
            ):
                return False
            before = token if is_note else before
        return True

    def put_into(self, child: Ints, parent: Ints) -> Ints | None:
        """A child of a melody that has the signs, with what is given put in its place, and the
        notes of the parent where the child has none: int64 [T] each. None where the lengths differ
        or the contour isn't kept."""
        if not len(child) == len(parent) == len(self._signs):
            return None
        found = child.copy()
        for step, sign in enumerate(self._signs):
            if sign not in _FREE:
                found[step] = TEXTS.index(sign)
            elif sign != GAP and found[step] < FIRST_PITCH:
                found[step] = parent[step]
        return found if self.kept_by(found) else None


def melody_to_fill(text: str) -> GivenSteps:
    """A melody with gaps. Raises ValueError for one without."""
    time, signs = _read(text, "fill")
    if not any(sign in _FREE for sign in signs):
        raise ValueError(
            "fill has no gap: write _ at each step that the policy is to write, or say which bars"
        )
    return GivenSteps(time, signs)


def rhythm_of(text: str) -> GivenSteps:
    """The rhythm of a melody, or one written with X for each note: notes, holds and note-offs stay
    where they are. Raises ValueError for a text without notes, or with other signs."""
    time, signs = _read(text, "rhythm")
    _only(signs, "rhythm", (NOTE,))
    found = [NOTE if sign in _NOTES else sign for sign in signs]
    if NOTE not in found:
        raise ValueError("rhythm has no note: write X, or a note, where one begins")
    return GivenSteps(time, found)


def contour_of(text: str) -> GivenSteps:
    """The contour of a melody, with its rhythm: each note but the first is higher or lower than the
    one before, or the same, as there. It may be written with X ^ v = in place of notes. Raises
    ValueError for a text with fewer than two notes, or with other signs."""
    time, signs = _read(text, "contour")
    _only(signs, "contour", (NOTE, HIGHER, LOWER, SAME))
    notes = [sign for sign in signs if sign in _NOTES]
    written = [sign for sign in signs if sign in _FREE]
    if notes and written:
        raise ValueError(
            "contour is a melody, or has X ^ v = in place of its notes, but not both: fill keeps "
            "notes beside them"
        )
    if len(notes) + len(written) < 2:
        raise ValueError("contour needs two notes or more")
    before, found = -1, []
    for sign in signs:
        if sign not in _NOTES:
            found.append(sign)
            continue
        note = _NOTES.index(sign)
        found.append(NOTE if before < 0 else _relation(before, note))
        before = note
    return GivenSteps(time, found)


def _relation(before: int, note: int) -> str:
    return SAME if note == before else HIGHER if note > before else LOWER


def _read(text: str, key: str) -> tuple[Time, list[str]]:
    """The time and the signs of a text. Raises ValueError naming the first character that is
    none."""
    time, body = split_header(text)
    signs, place = [], 0
    while match := _SIGN.match(body, place):
        signs.append(match.group())
        place = match.end()
    if place < len(body) or not body:
        raise ValueError(
            f"{key} = {text[:60]!r} is not a melody at character {place + 1} of its steps: "
            f"{body[place : place + 3]!r}; notes are {_NOTES[0]} to {_NOTES[-1]}"
        )
    return time, signs


def _only(signs: Sequence[str], key: str, free: tuple[str, ...]) -> None:
    """Raises ValueError for a sign that the key doesn't take."""
    for step, sign in enumerate(signs, start=1):
        if sign in _FREE and sign not in free:
            raise ValueError(
                f"{key} can't have {sign!r} (step {step}): write notes, {' '.join(free)}, - and ., "
                "or use fill"
            )
