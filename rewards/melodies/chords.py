"""Chord symbols of lead sheets: "C | Am F | G7" -> the pitch classes of each chord."""

from __future__ import annotations

import re

_ROOTS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SIGNS = {"": 0, "#": 1, "b": -1, "♯": 1, "♭": -1}
# Semitones above the root by what follows it.
_KINDS = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
    "9": (0, 4, 7, 10, 2),
    "maj9": (0, 4, 7, 11, 2),
    "m9": (0, 3, 7, 10, 2),
    "add9": (0, 4, 7, 2),
    "5": (0, 7),
    "sus4": (0, 5, 7),
    "sus2": (0, 2, 7),
    "7sus4": (0, 5, 7, 10),
    "aug": (0, 4, 8),
    "dim": (0, 3, 6),
    "dim7": (0, 3, 6, 9),
    "m7b5": (0, 3, 6, 10),
}
_SAME = {
    "M": "",
    "maj": "",
    "min": "m",
    "-": "m",
    "min7": "m7",
    "-7": "m7",
    "M7": "maj7",
    "Δ": "maj7",
    "+": "aug",
    "o": "dim",
    "°": "dim",
    "o7": "dim7",
    "°7": "dim7",
    "ø": "m7b5",
    "sus": "sus4",
}
_CHORD = re.compile(r"([A-G])([#b♯♭]?)([^/\s]*)(?:/[A-G][#b♯♭]?)?")
NO_CHORD = "N.C."

# The pitch classes of a chord, 0 for C; none where no chord sounds.
Chord = frozenset[int]


def parse_chords(text: str) -> list[list[Chord]]:
    """The chords of each bar. Bars are divided by |, chords of a bar by spaces; an empty bar or %
    repeats the bar before. The bass after a slash isn't used. Raises ValueError."""
    bars: list[list[Chord]] = []
    for place, bar in enumerate(text.strip().strip("|").split("|"), 1):
        names = bar.split()
        if names in ([], ["%"]):
            if not bars:
                raise ValueError("chords: the first bar has no chord")
            bars.append(bars[-1])
        else:
            bars.append([_chord(name, place) for name in names])
    return bars


def _chord(name: str, bar: int) -> Chord:
    if name == NO_CHORD:
        return frozenset()
    match = _CHORD.fullmatch(name)
    kind = None if match is None else _SAME.get(match.group(3), match.group(3))
    if match is None or kind not in _KINDS:
        raise ValueError(
            f"chords: {name!r} in bar {bar} isn't a chord; chords are written C, Am, F#m7, Bbmaj7, "
            f"Gsus4, Bdim, or {NO_CHORD} for none"
        )
    root = _ROOTS[match.group(1)] + _SIGNS[match.group(2)]
    return frozenset((root + step) % 12 for step in _KINDS[kind])
