"""A melody in ABC notation, as text that people and sites of folk tunes read.

Source: https://abcnotation.com/wiki/abc:standard:v2.1
"""

from __future__ import annotations

from fractions import Fraction

from sequence_tutor.rewards.melodies.depicting.musicxml import signature_of
from sequence_tutor.rewards.melodies.depicting.note_names import NoteName
from sequence_tutor.rewards.melodies.depicting.note_values import Grid, Value, note_values
from sequence_tutor.rewards.melodies.spelling import read
from sequence_tutor.rewards.melodies.style import PLAIN, Style

SIXTEENTH = 3  # ticks; lengths are counted in sixteenths
BARS_A_LINE = 4
_SIGNS = {-2: "__", -1: "_", 0: "=", 1: "^", 2: "^^"}


def abc(text: str, style: Style = PLAIN, title: str = "Melody") -> str:
    """The melody as one tune. Raises ValueError for text that isn't a melody."""
    melody = read(text)
    grid, signature = Grid(melody.time), signature_of(style.fifths)
    bars: list[str] = []
    altered: set[str] = set()  # letters that this bar has had with an accidental
    for value in note_values(melody, style):
        if value.start % grid.bar == 0:
            bars.append("")
            altered = set()
        elif value.start % grid.beat == 0:
            bars[-1] += " "  # parts the beams
        bars[-1] += _symbol(value, signature, altered)
    lines = [" | ".join(bars[i : i + BARS_A_LINE]) for i in range(0, len(bars), BARS_A_LINE)]
    head = [
        "X:1",
        f"T:{title}",
        f"M:{melody.time.metre}",
        "L:1/16",
        f"Q:1/4={style.tempo:g}",
        f"K:{style.key}",
    ]
    return "\n".join([*head, *(f"{line} |" for line in lines[:-1]), f"{lines[-1]} |]", ""])


def _symbol(value: Value, signature: dict[str, int], altered: set[str]) -> str:
    length = _length(value.ticks)
    if value.name is None:
        return "z" + length
    letter, alter, sign = value.name.letter, value.name.alter, ""
    # readers differ in how long and in which octaves an accidental holds, so it is repeated
    if letter in altered or alter != signature.get(letter, 0):
        sign = _SIGNS[alter]
        altered.add(letter)
    return sign + _letter(value.name) + length + ("-" if value.ties else "")


def _letter(name: NoteName) -> str:
    """C is middle C, c an octave above it; marks are octaves further."""
    if name.octave >= 5:
        return name.letter.lower() + "'" * (name.octave - 5)
    return name.letter + "," * (4 - name.octave)


def _length(ticks: int) -> str:
    """In sixteenths; a sixteenth itself needs no number."""
    length = Fraction(ticks, SIXTEENTH)
    return "" if length == 1 else str(length)
