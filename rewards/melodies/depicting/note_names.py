"""The written name of each note, which its pitch alone leaves open: C♯4 or D♭4.

Melodies are in C major or A minor (`policies/midi/key.py` moves them there, and the rules are about
these keys). So a note of C major has no accidental, and the others are spelled as in a chromatic
scale of these keys: F♯ and B♭ always; C♯, D♯ and G♯ where the next other pitch is a semitone
higher; D♭, E♭ and A♭ where it is a semitone lower; else C♯, E♭ and G♯.
"""

from __future__ import annotations

from dataclasses import dataclass

from sequence_tutor.rewards.melodies.notes import Notes

LETTERS = "CDEFGAB"
_NATURAL = {0: "C", 2: "D", 4: "E", 5: "F", 7: "G", 9: "A", 11: "B"}
_USUAL = {1: ("C", 1), 3: ("E", -1), 6: ("F", 1), 8: ("G", 1), 10: ("B", -1)}
_FIXED = (6, 10)  # F sharp and B flat
_SIGNS = {-1: "♭", 0: "", 1: "♯"}


@dataclass(frozen=True)
class NoteName:
    """A pitch as it is written."""

    letter: str
    """One of CDEFGAB."""
    alter: int
    """-1 for a flat, 1 for a sharp, 0 for neither."""
    octave: int
    """4 for the octave that starts at middle C."""

    def __str__(self) -> str:
        return f"{self.letter}{_SIGNS[self.alter]}{self.octave}"


def note_names(notes: Notes) -> list[NoteName]:
    """The names of the N notes of one melody."""
    pitches = notes.pitch.tolist()
    names = []
    following = 0  # the next other pitch
    for i in reversed(range(len(pitches))):
        if i + 1 < len(pitches) and pitches[i + 1] != pitches[i]:
            following = pitches[i + 1] - pitches[i]
        names.append(_name(pitches[i], following))
    return names[::-1]


def _name(pitch: int, step: int) -> NoteName:
    """pitch: semitones above C3; step: semitones to the next other pitch, 0 for none."""
    octave, place = divmod(pitch, 12)
    if place in _NATURAL:
        letter, alter = _NATURAL[place], 0
    elif step in (-1, 1) and place not in _FIXED:
        letter, alter = _NATURAL[place - step], step
    else:
        letter, alter = _USUAL[place]
    return NoteName(letter, alter, octave + 3)
