"""A melody as MusicXML, which notation programs open and verovio engraves.

Written by hand, since a melody needs little of it and the packages that write MusicXML need seconds
to load and set no beams. It has no key signature, as all melodies are in C major or A minor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from sequence_tutor.rewards.melodies.depicting.note_names import LETTERS, NoteName, note_names
from sequence_tutor.rewards.melodies.notes import STEPS_PER_BAR, STEPS_PER_BEAT
from sequence_tutor.rewards.melodies.sound import QUARTERS_PER_MINUTE, notes_of

HEADER = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
    '"http://www.musicxml.org/dtds/partwise.dtd">\n'
)
# Note values by their length in steps, with the number of dots.
VALUES = {
    16: ("whole", 0),
    12: ("half", 1),
    8: ("half", 0),
    6: ("quarter", 1),
    4: ("quarter", 0),
    3: ("eighth", 1),
    2: ("eighth", 0),
    1: ("16th", 0),
}
ACCIDENTALS = {-1: "flat", 0: "natural", 1: "sharp"}


@dataclass(frozen=True)
class Clef:
    """A clef and the lines of its staff."""

    sign: str
    """G or F."""
    line: int
    """Its line, counted from below."""
    octave: int
    """-1 for a clef that sounds an octave lower than written; else 0."""
    lowest: int
    """The lowest line, in steps of the scale above C0; the highest is 8 above."""


TREBLE = Clef("G", 2, 0, 30)
LOWER_CLEFS = (Clef("G", 2, -1, 23), Clef("F", 4, 0, 18))  # treble an octave lower, bass


@dataclass(frozen=True)
class Value:
    """A part of a note or rest that one symbol can show."""

    start: int
    """Its first step."""
    steps: int
    """Its length; one of `VALUES`, or a whole bar's rest."""
    name: NoteName | None = None
    """Of a note; None for a rest."""
    tied: bool = False
    """Whether it goes on the note of the value before."""
    ties: bool = False
    """Whether the next value goes on its note."""


def musicxml(text: str) -> str:
    """The melody as a MusicXML file of one voice, 4/4, its last bar filled with a rest.

    Raises ValueError for text that isn't a melody.
    """
    values = list(note_values(text))
    score = Element("score-partwise", version="4.0")
    listed = SubElement(SubElement(score, "part-list"), "score-part", id="P1")
    SubElement(listed, "part-name", {"print-object": "no"}).text = "Melody"
    part = SubElement(score, "part", id="P1")
    bars: list[list[Value]] = [[] for _ in range(values[-1].start // STEPS_PER_BAR + 1)]
    for value in values:
        bars[value.start // STEPS_PER_BAR].append(value)
    clef = choose_clef([value.name for value in values if value.name is not None])
    altered: dict[tuple[str, int], int] = {}
    for number, bar in enumerate(bars, 1):
        measure = SubElement(part, "measure", number=str(number))
        if number == 1:
            _attributes(measure, clef)
        altered = _fill(measure, bar, altered)
    barline = SubElement(measure, "barline", location="right")
    SubElement(barline, "bar-style").text = "light-heavy"
    ElementTree.indent(score, space="")
    return HEADER + ElementTree.tostring(score, encoding="unicode") + "\n"


def note_values(text: str) -> Iterator[Value]:
    """The symbols of a melody in their order, bar after bar, without a gap."""
    notes, steps = notes_of(text)
    at = 0
    for start, length, name in zip(
        notes.start.tolist(), notes.length.tolist(), note_names(notes), strict=True
    ):
        yield from _rests(at, start)
        parts = list(_divide(start, start + length))
        for i, (first, size) in enumerate(parts):
            yield Value(first, size, name, tied=i > 0, ties=i + 1 < len(parts))
        at = start + length
    yield from _rests(at, -(-steps // STEPS_PER_BAR) * STEPS_PER_BAR)


def _divide(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Divide a note into values that keep the beats visible, as (start, steps).

    A value stays within its bar. It crosses the middle of a bar only from beat to beat, and another
    beat only from eighth to eighth; elsewhere the note is divided there and tied.
    """
    for size in (STEPS_PER_BAR, STEPS_PER_BAR // 2, STEPS_PER_BEAT):
        border = start // size * size + size
        parts = size // 2 if size < STEPS_PER_BAR else size
        if border < end and (start % parts or end % parts or size == STEPS_PER_BAR):
            yield from _divide(start, border)
            yield from _divide(border, end)
            return
    yield start, end - start


def _rests(start: int, end: int) -> Iterator[Value]:
    """Rests, each the longest without a dot that begins at a multiple of its length."""
    while start < end:
        size = next(n for n in (16, 8, 4, 2, 1) if start % n == 0 and start + n <= end)
        yield Value(start, size)
        start += size


def choose_clef(names: Sequence[NoteName]) -> Clef:
    """Treble, unless a note would need more than one ledger line on average; then the clef that
    needs the fewest."""

    def ledger_lines(clef: Clef) -> int:
        return sum(
            max(clef.lowest - height, height - clef.lowest - 8, 0) // 2
            for height in map(_height, names)
        )

    if ledger_lines(TREBLE) <= len(names):
        return TREBLE
    return min(LOWER_CLEFS, key=ledger_lines)


def _height(name: NoteName) -> int:
    """Steps of the scale above C0."""
    return name.octave * 7 + LETTERS.index(name.letter)


def _attributes(measure: Element, clef: Clef) -> None:
    attributes = SubElement(measure, "attributes")
    SubElement(attributes, "divisions").text = str(STEPS_PER_BEAT)
    SubElement(SubElement(attributes, "key"), "fifths").text = "0"
    time = SubElement(attributes, "time")
    SubElement(time, "beats").text, SubElement(time, "beat-type").text = "4", "4"
    element = SubElement(attributes, "clef")
    SubElement(element, "sign").text = clef.sign
    SubElement(element, "line").text = str(clef.line)
    if clef.octave:
        SubElement(element, "clef-octave-change").text = str(clef.octave)
    SubElement(measure, "sound", tempo=str(QUARTERS_PER_MINUTE))


def _fill(
    measure: Element, bar: Sequence[Value], earlier: Mapping[tuple[str, int], int]
) -> dict[tuple[str, int], int]:
    """Write the values of a bar; returns how its lines are altered, by letter and octave.

    An accidental holds for its line until the bar ends. `earlier` is the bar before: what was
    altered there gets an accidental again, as a reminder.
    """
    altered: dict[tuple[str, int], int] = {}
    earlier, beams = dict(earlier), _beams(bar)
    for i, value in enumerate(bar):
        note, name = SubElement(measure, "note"), value.name
        if name is None:
            whole = value.steps == STEPS_PER_BAR
            SubElement(note, "rest", {"measure": "yes"} if whole else {})
        else:
            pitch = SubElement(note, "pitch")
            SubElement(pitch, "step").text = name.letter
            if name.alter:
                SubElement(pitch, "alter").text = str(name.alter)
            SubElement(pitch, "octave").text = str(name.octave)
        SubElement(note, "duration").text = str(value.steps)
        ties = ["stop"] * value.tied + ["start"] * value.ties
        for kind in ties:
            SubElement(note, "tie", type=kind)
        SubElement(note, "voice").text = "1"
        kind, dots = VALUES[value.steps]
        if name is not None or value.steps < STEPS_PER_BAR:  # a bar's rest has no value
            SubElement(note, "type").text = kind
        for _ in range(dots):
            SubElement(note, "dot")
        if name is not None:
            line = name.letter, name.octave
            if value.tied:  # the accidental is that of the first value, and holds no longer
                earlier[line] = name.alter
            else:
                if altered.get(line, earlier.get(line, 0)) != name.alter or (
                    name.alter and line not in altered
                ):
                    SubElement(note, "accidental").text = ACCIDENTALS[name.alter]
                altered[line] = name.alter
        for number, word in beams[i].items():
            SubElement(note, "beam", number=str(number)).text = word
        if ties:
            notations = SubElement(note, "notations")
            for kind in ties:
                SubElement(notations, "tied", type=kind)
    return altered


def _beams(bar: Sequence[Value]) -> list[dict[int, str]]:
    """For each value of a bar its beams: number -> begin, continue, end or a hook.

    Beams join the eighths and sixteenths of a beat that no rest parts.
    """
    levels = [0 if v.name is None else {3: 1, 2: 1, 1: 2}.get(v.steps, 0) for v in bar]
    beats = [value.start // STEPS_PER_BEAT for value in bar]
    beams: list[dict[int, str]] = [{} for _ in bar]

    def joined(i: int, k: int, number: int) -> bool:
        """Whether beam `number` goes from value i to its neighbour k."""
        inside = 0 <= k < len(bar) and beats[i] == beats[k]
        return inside and levels[k] >= number

    for i, level in enumerate(levels):
        for number in range(1, level + 1):
            before, after = joined(i, i - 1, number), joined(i, i + 1, number)
            if before or after:
                beams[i][number] = ("continue" if after else "end") if before else "begin"
            elif joined(i, i - 1, 1) or joined(i, i + 1, 1):
                # a hook points to the note that it shares the first beam with
                beams[i][number] = "backward hook" if joined(i, i - 1, 1) else "forward hook"
    return beams
