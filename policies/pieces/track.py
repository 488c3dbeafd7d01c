"""Which part of a piece has the melody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sequence_tutor.policies.pieces.piece import Note, Part, ReadError

# names of parts that may have the melody, the likeliest first
_MELODY_NAMES = ("melody", "voice", "vocal", "lead", "soprano")


@dataclass(frozen=True)
class Choice:
    """The notes to find the melody in, and why these."""

    notes: tuple[Note, ...]
    """Notes of one part, or of several."""
    parts: tuple[int, ...]
    """Numbers of the parts, from 1, in the order of the file."""
    reason: str
    """Why, as a word of the summary: "only part", "name", ..."""


def choose(parts: Sequence[Part], track: str | None = None) -> Choice:
    """The notes to find the melody in: those of the part with the likeliest name, or all.

    Raises ReadError without a part that isn't drums.
    """
    pitched = {i: part for i, part in enumerate(parts, 1) if not part.drums}
    if not pitched:
        raise ReadError("it has no notes but those of drums")
    for wanted in _MELODY_NAMES:
        named = [(len(p.notes), p.name) for p in pitched.values() if wanted in p.name.lower()]
        if named:
            best = max(named)[1]
            return _choice({i: p for i, p in pitched.items() if p.name == best}, "name")
    return _choice(pitched, "highest line of all")


def _choice(parts: dict[int, Part], reason: str) -> Choice:
    notes = sorted(note for part in parts.values() for note in part.notes)
    return Choice(tuple(notes), tuple(parts), reason)
