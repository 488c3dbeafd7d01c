"""A melody as MusicXML, which notation programs open and verovio engraves.

Written by hand, since a melody needs little of it and the packages that write MusicXML need seconds
to load and set no beams.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from sequence_tutor.rewards.melodies.depicting.note_names import LETTERS, NoteName
from sequence_tutor.rewards.melodies.depicting.note_values import (
    BEAMS,
    QUARTER,
    SHAPES,
    Grid,
    Value,
    note_values,
)
from sequence_tutor.rewards.melodies.spelling import read
from sequence_tutor.rewards.melodies.style import PLAIN, Style
from sequence_tutor.rewards.melodies.time import Time

HEADER = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
    '"http://www.musicxml.org/dtds/partwise.dtd">\n'
)
ACCIDENTALS = {
    -2: "flat-flat",
    -1: "flat",
    0: "natural",
    1: "sharp",
    2: "double-sharp",
}
SHARPS = "FCGDAEB"  # in the order in which key signatures add them; flats are added from the end


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


def musicxml(text: str, style: Style = PLAIN) -> str:
    """The melody as a MusicXML file of one voice, its last bar filled with a rest.

    Raises ValueError for text that isn't a melody.
    """
    melody = read(text)
    values = list(note_values(melody, style))
    score = Element("score-partwise", version="4.0")
    listed = SubElement(SubElement(score, "part-list"), "score-part", id="P1")
    SubElement(listed, "part-name", {"print-object": "no"}).text = "Melody"
    part = SubElement(score, "part", id="P1")
    grid = Grid(melody.time)
    bars: list[list[Value]] = [[] for _ in range(values[-1].start // grid.bar + 1)]
    for value in values:
        bars[value.start // grid.bar].append(value)
    clef = choose_clef([value.name for value in values if value.name is not None])
    signature = signature_of(style.fifths)
    altered: dict[tuple[str, int], int] = {}
    for number, bar in enumerate(bars, 1):
        measure = SubElement(part, "measure", number=str(number))
        if number == 1:
            _attributes(measure, clef, melody.time, style)
        altered = _fill(measure, bar, grid, signature, altered)
    barline = SubElement(measure, "barline", location="right")
    SubElement(barline, "bar-style").text = "light-heavy"
    ElementTree.indent(score, space="")
    return HEADER + ElementTree.tostring(score, encoding="unicode") + "\n"


def signature_of(fifths: int) -> dict[str, int]:
    """What a key signature alters, by letter: 1 for a sharp, -1 for a flat."""
    if fifths >= 0:
        return dict.fromkeys(SHARPS[:fifths], 1)
    return dict.fromkeys(SHARPS[fifths:], -1)


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


def _attributes(measure: Element, clef: Clef, time: Time, style: Style) -> None:
    attributes = SubElement(measure, "attributes")
    SubElement(attributes, "divisions").text = str(QUARTER)
    key = SubElement(attributes, "key")
    SubElement(key, "fifths").text = str(style.fifths)
    SubElement(key, "mode").text = "minor" if style.key.endswith("m") else "major"
    element = SubElement(attributes, "time")
    SubElement(element, "beats").text = str(time.count)
    SubElement(element, "beat-type").text = str(time.unit)
    element = SubElement(attributes, "clef")
    SubElement(element, "sign").text = clef.sign
    SubElement(element, "line").text = str(clef.line)
    if clef.octave:
        SubElement(element, "clef-octave-change").text = str(clef.octave)
    SubElement(measure, "sound", tempo=f"{style.tempo:g}")


def _fill(
    measure: Element,
    bar: Sequence[Value],
    grid: Grid,
    signature: Mapping[str, int],
    earlier: Mapping[tuple[str, int], int],
) -> dict[tuple[str, int], int]:
    """Write the values of a bar; returns how its lines are altered, by letter and octave.

    An accidental holds for its line until the bar ends. `earlier` is the bar before: what was
    altered there gets an accidental again, as a reminder.
    """
    altered: dict[tuple[str, int], int] = {}
    earlier, beams, tuplets = dict(earlier), _beams(bar, grid), _tuplets(bar, grid)
    for i, value in enumerate(bar):
        note, name = SubElement(measure, "note"), value.name
        if name is None:
            whole = value.ticks == grid.bar
            SubElement(note, "rest", {"measure": "yes"} if whole else {})
        else:
            pitch = SubElement(note, "pitch")
            SubElement(pitch, "step").text = name.letter
            if name.alter:
                SubElement(pitch, "alter").text = str(name.alter)
            SubElement(pitch, "octave").text = str(name.octave)
        SubElement(note, "duration").text = str(value.ticks)
        ties = ["stop"] * value.tied + ["start"] * value.ties
        for kind in ties:
            SubElement(note, "tie", type=kind)
        SubElement(note, "voice").text = "1"
        if name is not None or value.ticks < grid.bar:  # a bar's rest has no value
            _add_shape(note, value)
        if name is not None:
            _add_accidental(note, value, signature, altered, earlier)
        if name is not None or value.ticks < grid.bar:
            _add_triplet(note, value)
        for number, word in beams[i].items():
            SubElement(note, "beam", number=str(number)).text = word
        if ties or tuplets[i]:
            notations = SubElement(note, "notations")
            for kind in ties:
                SubElement(notations, "tied", type=kind)
            for kind in tuplets[i]:
                SubElement(notations, "tuplet", type=kind, number="1")
    return altered


def _add_shape(note: Element, value: Value) -> None:
    shape = SHAPES[value.ticks]
    SubElement(note, "type").text = shape.kind
    for _ in range(shape.dots):
        SubElement(note, "dot")


def _add_triplet(note: Element, value: Value) -> None:
    if SHAPES[value.ticks].triplet:
        element = SubElement(note, "time-modification")
        SubElement(element, "actual-notes").text = "3"
        SubElement(element, "normal-notes").text = "2"


def _add_accidental(
    note: Element,
    value: Value,
    signature: Mapping[str, int],
    altered: dict[tuple[str, int], int],
    earlier: dict[tuple[str, int], int],
) -> None:
    name = value.name
    assert name is not None
    line, usual = (name.letter, name.octave), signature.get(name.letter, 0)
    if value.tied:  # the accidental is that of the first value, and holds no longer
        earlier[line] = name.alter
        return
    if altered.get(line, earlier.get(line, usual)) != name.alter or (
        name.alter != usual and line not in altered
    ):
        SubElement(note, "accidental").text = ACCIDENTALS[name.alter]
    altered[line] = name.alter


def _beams(bar: Sequence[Value], grid: Grid) -> list[dict[int, str]]:
    """For each value of a bar its beams: number -> begin, continue, end or a hook.

    Beams join the eighths and shorter values of a beat that no rest parts.
    """
    levels = [0 if v.name is None else BEAMS.get(SHAPES[v.ticks].kind, 0) for v in bar]
    beats = [value.start // grid.beat for value in bar]
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


def _tuplets(bar: Sequence[Value], grid: Grid) -> list[list[str]]:
    """For each value of a bar where the bracket of a triplet starts and stops; it spans the
    neighbouring triplet values of a beat."""
    triplet = [value.ticks in SHAPES and SHAPES[value.ticks].triplet for value in bar]
    beats = [value.start // grid.beat for value in bar]
    found: list[list[str]] = [[] for _ in bar]
    for i, inside in enumerate(triplet):
        if not inside:
            continue
        before = i > 0 and triplet[i - 1] and beats[i - 1] == beats[i]
        after = i + 1 < len(bar) and triplet[i + 1] and beats[i + 1] == beats[i]
        if not before and after:
            found[i].append("start")
        if before and not after:
            found[i].append("stop")
    return found
