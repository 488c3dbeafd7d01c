"""The written name of each note, which its pitch alone leaves open: C♯4 or D♭4.

Melodies are in C major or A minor (`policies/midi/key.py` moves them there, and the rules are about
these keys). So a note of C major has no accidental, and the others are spelled as in a chromatic
scale of these keys: F♯ and B♭ always; C♯, D♯ and G♯ where the next other pitch is a semitone
higher; D♭, E♭ and A♭ where it is a semitone lower; else C♯, E♭ and G♯.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LETTERS = "CDEFGAB"
_NATURAL = {0: "C", 2: "D", 4: "E", 5: "F", 7: "G", 9: "A", 11: "B"}
_USUAL = {1: ("C", 1), 3: ("E", -1), 6: ("F", 1), 8: ("G", 1), 10: ("B", -1)}
_FIXED = (6, 10)  # F sharp and B flat
_SIGNS = {-2: "♭♭", -1: "♭", 0: "", 1: "♯", 2: "♯♯"}
_BY_FIFTHS = "FCGDAEB"
_SEMITONES = {letter: place for place, letter in _NATURAL.items()}


@dataclass(frozen=True)
class NoteName:
    """A pitch as it is written."""

    letter: str
    """One of CDEFGAB."""
    alter: int
    """Sharps, 0 for none; flats are negative."""
    octave: int
    """4 for the octave that starts at middle C."""

    @property
    def semitones(self) -> int:
        """Its MIDI pitch."""
        return 12 * (self.octave + 1) + _SEMITONES[self.letter] + self.alter

    def __str__(self) -> str:
        return f"{self.letter}{_SIGNS[self.alter]}{self.octave}"


def note_names(pitches: Sequence[int], fifths: int = 0) -> list[NoteName]:
    """The names of the N notes of one melody, by their MIDI pitches in C; fifths: sharps of the key
    in which they are written, flats are negative. They are spelled as in C, and moved by the
    interval between the keys."""
    names = []
    following = 0  # the next other pitch
    for i in reversed(range(len(pitches))):
        if i + 1 < len(pitches) and pitches[i + 1] != pitches[i]:
            following = pitches[i + 1] - pitches[i]
        names.append(_in_key(_name(pitches[i], following), fifths))
    return names[::-1]


def _in_key(name: NoteName, fifths: int) -> NoteName:
    """A name moved up from C by fifths, and by octaves so that it is within -5 to 6 semitones."""
    place = _BY_FIFTHS.index(name.letter) + 7 * name.alter + fifths
    letter, alter = _BY_FIFTHS[place % 7], place // 7
    shift = (fifths * 7 + 5) % 12 - 5
    octave, rest = divmod(name.semitones + shift - alter - _SEMITONES[letter], 12)
    assert rest == 0
    return NoteName(letter, alter, octave - 1)


def _name(pitch: int, step: int) -> NoteName:
    """pitch: MIDI; step: semitones to the next other pitch, 0 for none."""
    octave, place = divmod(pitch, 12)
    if place in _NATURAL:
        letter, alter = _NATURAL[place], 0
    elif step in (-1, 1) and place not in _FIXED:
        letter, alter = _NATURAL[place - step], step
    else:
        letter, alter = _USUAL[place]
    return NoteName(letter, alter, octave - 1)
