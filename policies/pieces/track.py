"""Which part of a piece has the melody: the one whose name says so, or else the highest line.

Names decide where they can. Of other parts the melody is the highest line that keeps one voice and
moves: chords, bass instruments and long notes count against a part, see `_height`.

Measured on 200 chorales by Bach in music21's corpus with one part called soprano, their parts in
random order (right: 95 % of the notes agree): by names all 200 are right; without names the highest
single part is right for 183, the highest notes of all parts together for 120. In most of the others
an instrument plays above the soprano.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sequence_tutor.policies.pieces.line import CHORD, skyline
from sequence_tutor.policies.pieces.piece import Note, Part, ReadError
from sequence_tutor.policies.pieces.track_names import Role, accompanies, role

# Least share of the time of the busiest part during which the melody's part sounds.
LEAST_SOUNDING = 0.25
# Octaves that a part which is all chords loses against one of single notes.
CHORDS = 1.5
# Octaves that a part loses which has a note or fewer for each bar of four quarters.
LONG_NOTES = 2.0
# Octaves that a bass loses, General MIDI's programs 32 to 39, and what is no instrument, from 112.
OTHER_INSTRUMENT = 3.0

BY_NAME, BY_REST, BY_LINE = "its name", "the names of the others", "being the highest line"
ONLY, GIVEN = "being the only one", "--track"


@dataclass(frozen=True)
class Choice:
    """The part to find the melody in, and why this one."""

    number: int
    """Its number from 1, in the order of the file."""
    part: Part
    """The part."""
    reason: str
    """Why, after "by": one of the constants above."""


def choose(parts: Sequence[Part], track: str | None = None) -> Choice:
    """The part that has the melody. track: its name or number, where the user knows better.

    Raises ReadError without a part that isn't drums, and where no part is called `track`.
    """
    pitched = {i: part for i, part in enumerate(parts, 1) if not part.drums}
    if not pitched:
        raise ReadError("it has no notes but those of drums")
    if track is not None:
        found = _called(parts, track)
        return Choice(found, parts[found - 1], GIVEN)
    if len(pitched) == 1:
        ((only, part),) = pitched.items()
        return Choice(only, part, ONLY)
    roles = {i: role(part.name) for i, part in pitched.items()}
    known = {i: own for i, own in roles.items() if own is not None}
    if known:
        best: Role = min(known.values())
        named = {i: pitched[i] for i, own in known.items() if own == best}
        return _highest(named, BY_NAME)
    others = {i: part for i, part in pitched.items() if not accompanies(part.name)}
    if len(others) == 1:
        return _highest(others, BY_REST)
    return _highest(others or pitched, BY_LINE)


def _called(parts: Sequence[Part], track: str) -> int:
    """The number of the part with a name or number. Raises ReadError."""
    wanted = track.strip().casefold()
    names = [part.name.casefold() for part in parts]
    if wanted.isdecimal() and wanted not in names:
        if 1 <= int(wanted) <= len(parts):
            return int(wanted)
        raise ReadError(f"it has no part {track}, but {len(parts)} of them")
    for matches in (
        [i for i, name in enumerate(names, 1) if name == wanted],
        [i for i, name in enumerate(names, 1) if wanted in name],
    ):
        if matches:
            return _highest({i: parts[i - 1] for i in matches}, GIVEN).number
    known = ", ".join(repr(part.name) for part in parts[:8])
    raise ReadError(f"it has no part called {track!r}; its parts are {known}")


def _highest(parts: Mapping[int, Part], reason: str) -> Choice:
    sounding = {i: _sounding(part.notes) for i, part in parts.items()}
    most = max(sounding.values())
    wide = [i for i, quarters in sounding.items() if quarters >= LEAST_SOUNDING * most]
    best = max(wide, key=lambda i: _height(parts[i]))
    return Choice(best, parts[best], reason)


def _sounding(notes: Sequence[Note]) -> float:
    """Quarter notes during which a part's line sounds."""
    return sum(note.end - note.start for note in skyline(notes))


def _height(part: Part) -> float:
    """The mean pitch of a part's line in octaves, less what speaks against it as a melody."""
    line = skyline(part.notes)
    height = float(np.mean([note.pitch for note in line])) / 12
    onsets = np.sort([note.start for note in part.notes])
    chords = float(np.mean(np.diff(onsets) <= CHORD)) if len(onsets) > 1 else 0.0
    height -= CHORDS * chords
    quarters = max(1.0, sum(note.end - note.start for note in line))
    height -= LONG_NOTES * (4 * len(line) <= quarters)
    bass = part.program is not None and (32 <= part.program < 40 or part.program >= 112)
    return height - OTHER_INSTRUMENT * bass
