"""MusicXML reads back as the melody, by two readers that aren't ours, and is written as notation
asks: values, beams, accidentals, clefs."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pretty_midi
import pytest

from sequence_tutor.rewards.melodies.depicting.abc import abc
from sequence_tutor.rewards.melodies.depicting.engraving import engrave
from sequence_tutor.rewards.melodies.depicting.musicxml import musicxml
from sequence_tutor.rewards.melodies.depicting.note_names import note_names
from sequence_tutor.rewards.melodies.depicting.note_values import note_values
from sequence_tutor.rewards.melodies.spelling import read, spell
from sequence_tutor.rewards.melodies.style import PLAIN, Style
from sequence_tutor.rewards.melodies.time import COMMON, Time

SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
QUARTERS = {"whole": 4, "half": 2, "quarter": 1, "eighth": 1 / 2, "16th": 1 / 4, "32nd": 1 / 8}
TICKS = 12  # of a quarter note
RNG = np.random.default_rng(3)


def random_melody(steps: int, time: Time = COMMON) -> str:
    """Dense in notes, rests and sharps, with notes over bars."""
    weights = np.r_[16.0, 3.0, np.full(36, 0.35)]
    return spell(RNG.choice(38, steps, p=weights / weights.sum()), time)


MELODIES = [
    "A4---D5---.-D5-A#4-A4-F#4---.-----A4-A4-G#4-",
    "-C3----------------------------------------C#3B5.A3",  # one note over four bars
    "C4---",
    "-" * 20,
    *(random_melody(steps) for steps in (16, 32, 33, 64, 200)),
    "3/4:C4-----------D4-E4-F4-G4-A4-B4-",
    *(
        random_melody(6 * time.bar, time)
        for time in (Time(3), Time(6, 8), Time(2), Time(9, 8), Time(3, 8), Time(5))
    ),
    "4/4@12:C4---D4---E4---" + ("F4" + "-" * 35) + "G4-----A4--B4--" * 4,
    "3/4@6:" + "C4-D4-E4-" + "F4--G4--" + "A4-B4-C5--",
]
# Sixteenths and parts of triplets within one beat, which no composer writes, and whose lengths
# verovio changes.
ODD = [random_melody(3 * time.bar, time) for time in (Time(grid=12), Time(6, 8, 12), Time(grid=6))]


def expected(text: str) -> list[tuple[int, int, int]]:
    """(onset, length, MIDI pitch) of each note, in ticks; read from the text alone."""
    notes: list[list[int]] = []
    sounding = False
    header, _, body = text.rpartition(":")
    step = TICKS // int(header.partition("@")[2] or 4)
    for at, token in enumerate(re.findall(r"-|\.|[A-G]#?\d", body)):
        if token == "-":
            if sounding:
                notes[-1][1] += step
        elif token == ".":
            sounding = False
        else:
            pitch = 12 * (int(token[-1]) + 1) + SEMITONES[token[0]] + ("#" in token)
            notes.append([at * step, step, pitch])
            sounding = True
    return [(a, b, c) for a, b, c in notes]


@pytest.mark.parametrize("text", MELODIES + ODD)
def test_partitura_reads_the_melody_back(text: str):
    partitura = pytest.importorskip("partitura")
    (part,) = partitura.load_musicxml(io.BytesIO(musicxml(text).encode())).parts
    assert part.quarter_durations()[:, 1].tolist() == [TICKS]
    found = [(note.start.t, note.duration_tied, note.midi_pitch) for note in part.notes_tied]
    assert found == expected(text)


# verovio writes the tempo into a track where pretty_midi doesn't expect it
@pytest.mark.filterwarnings("ignore:Tempo, Key or Time signature change events")
@pytest.mark.parametrize("text", MELODIES)
def test_verovio_reads_the_melody_back(text: str):
    verovio = pytest.importorskip("verovio")
    toolkit = verovio.toolkit()
    assert toolkit.loadData(musicxml(text))
    midi = pretty_midi.PrettyMIDI(io.BytesIO(base64.b64decode(toolkit.renderToMIDI())))
    assert midi.get_tempo_changes()[1].tolist() == [120]
    notes = [note for instrument in midi.instruments for note in instrument.notes]
    found = [
        (round(24 * note.start), round(24 * (note.end - note.start)), note.pitch) for note in notes
    ]
    assert found == expected(text)


@pytest.mark.parametrize("text", MELODIES + ODD)
def test_printed_values_fill_each_bar(text: str):
    score = ElementTree.fromstring(musicxml(text))
    count, unit = (int(score.findtext(f".//{name}", "")) for name in ("beats", "beat-type"))
    bar = TICKS * 4 * count // unit
    for measure in score.iter("measure"):
        total = 0
        for note in measure.iter("note"):
            length = int(note.findtext("duration", "0"))
            kind, dots = note.findtext("type"), len(note.findall("dot"))
            if kind is None:
                rest = note.find("rest")
                assert rest is not None and rest.get("measure") == "yes" and length == bar
            else:
                third = note.findtext("time-modification/actual-notes") == "3"
                value = QUARTERS[kind] * (2 - 0.5**dots) * (2 / 3 if third else 1)
                assert value * TICKS == pytest.approx(length)
            total += length
        assert total == bar
        open_beams = [note.findtext("beam") for note in measure.iter("note")]
        assert open_beams.count("begin") == open_beams.count("end")


@pytest.mark.parametrize("text", MELODIES)
def test_printed_accidentals_alone_tell_the_pitches(text: str):
    """As a musician reads: an accidental holds for its line until the bar ends, and over a tie."""
    signs = {"flat": -1, "natural": 0, "sharp": 1}
    found, tied = [], 0
    for measure in ElementTree.fromstring(musicxml(text)).iter("measure"):
        altered: dict[tuple[str, int], int] = {}
        for note in measure.iter("note"):
            if note.find("rest") is not None:
                continue
            step, octave = note.findtext("pitch/step", ""), int(note.findtext("pitch/octave", ""))
            ties = [tie.get("type") for tie in note.iter("tie")]
            sign = note.findtext("accidental")
            if sign is not None:
                altered[step, octave] = signs[sign]
            alter = tied if "stop" in ties else altered.get((step, octave), 0)
            tied = alter
            if "stop" not in ties:
                found.append(12 * (octave + 1) + SEMITONES[step] + alter)
    assert found == [pitch for _, _, pitch in expected(text)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        # a syncopated quarter stays one symbol; over the middle of the bar it is two
        ("C4-D4---E4---------", [(0, 2), (2, 4), (6, 2), (8, 8)]),
        ("C4-----D4---E4-.---", [(0, 6), (6, 2), (8, 2), (10, 2), (12, 4)]),
        ("C4----D4----------", [(0, 4), (4, 1), (5, 3), (8, 8)]),
        ("C4---D4-------E4---", [(0, 4), (4, 8), (12, 4)]),
        ("C4---------------", [(0, 16)]),
        ("C4-----------.---", [(0, 12), (12, 4)]),
        (".-C4-----------.-", [(0, 2), (2, 6), (8, 6), (14, 2)]),
    ],
)
def test_values_keep_the_beats_visible(text: str, values: list[tuple[int, int]]):
    found = note_values(read(text), PLAIN)
    assert [(value.start // 3, value.ticks / 3) for value in found] == values


@pytest.mark.parametrize(
    ("text", "ticks"),
    [
        # of 6/8, beats are dotted quarters; of 3/4, plain ones
        ("6/8:C4-----D4-E4-F4-", [18, 6, 6, 6]),
        ("6/8:C4---D4-------", [12, 6, 18]),
        ("3/4:C4-----------", [36]),
        ("3/4:C4----D4------", [12, 3, 9, 12]),
        ("4/4@12:C4---D4---E4---" + "F4" + "-" * 35, [4, 4, 4, 36]),
    ],
)
def test_values_of_other_times(text: str, ticks: list[int]):
    assert [value.ticks for value in note_values(read(text), PLAIN)] == ticks


def test_a_triplet_has_a_bracket():
    score = ElementTree.fromstring(musicxml("4/4@12:C4---D4---E4---" + "F4" + "-" * 35))
    notes = list(score.iter("note"))
    assert [note.findtext("type") for note in notes[:3]] == ["eighth"] * 3
    brackets = [[t.get("type") for t in note.iter("tuplet")] for note in notes]
    assert brackets == [["start"], [], ["stop"], []]


@pytest.mark.parametrize(
    ("key", "fifths", "names"),
    [
        ("C", 0, "C4 F♯4 B4 E♭4"),
        ("D", 2, "D4 G♯4 C♯5 F4"),
        ("Bb", -2, "B♭3 E4 A4 D♭4"),
        ("F#m", 3, "A3 D♯4 G♯4 C4"),
        ("Eb", -3, "E♭4 A4 D5 G♭4"),
    ],
)
def test_a_key_moves_names_and_pitches(key: str, fifths: int, names: str):
    style, melody = Style(key), read("C4---F#4---B4---D#4---")
    assert style.fifths == fifths
    pitches = [pitch for _, pitch, _ in melody.notes]
    found = note_names(pitches, style.fifths)
    assert " ".join(map(str, found)) == names
    assert [name.semitones for name in found] == [pitch + style.shift for pitch in pitches]


@pytest.mark.parametrize("key", ["C", "D", "Bb", "F#m", "Eb", "C#", "Cb", "Gm"])
def test_partitura_reads_every_key_back(key: str):
    partitura = pytest.importorskip("partitura")
    text = MELODIES[4]
    style = Style(key)
    (part,) = partitura.load_musicxml(io.BytesIO(musicxml(text, style).encode())).parts
    assert part.key_signatures[0].fifths == style.fifths if hasattr(part, "key_signatures") else 1
    assert [note.midi_pitch for note in part.notes_tied] == [
        pitch + style.shift for _, _, pitch in expected(text)
    ]


def test_beams_join_the_short_notes_of_a_beat():
    score = ElementTree.fromstring(musicxml("C4--D4E4D4E4-F4-.-C4-D4D4---"))
    beams = [
        [beam.text for beam in note.iter("beam")]
        for note in score.iter("note")
        if note.find("rest") is None
    ]
    assert beams == [
        ["begin"],
        ["end", "backward hook"],
        ["begin", "begin"],
        ["continue", "end"],
        ["end"],
        [],  # a rest parts it from the others
        ["begin"],
        ["continue", "begin"],
        ["end", "end"],
        [],
    ]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("C4C#4D4C#4C4", "C4 C♯4 D4 D♭4 C4"),
        ("G4G#4A4G#4G4", "G4 G♯4 A4 A♭4 G4"),
        ("G4F#4F4A4A#4B4", "G4 F♯4 F4 A4 B♭4 B4"),
        ("C#4-E4D#4-G4G#4-E4", "C♯4 E4 E♭4 G4 G♯4 E4"),
        ("C#4C#4D4", "C♯4 C♯4 D4"),  # a repeated note goes where its last repeat goes
    ],
)
def test_notes_are_spelled_as_in_a_chromatic_scale(text: str, names: str):
    assert " ".join(map(str, note_names([p for _, p, _ in read(text).notes]))) == names


@pytest.mark.parametrize(
    ("text", "clef"),
    [
        ("G4---A4---", ["G", "2"]),
        ("A3---C4---E4---G4---", ["G", "2"]),
        ("F3---A3---C4---E4---", ["G", "2", "-1"]),
        ("C3---E3---G3---E3---", ["F", "4"]),
        ("----", ["G", "2"]),
    ],
)
def test_the_clef_suits_the_range(text: str, clef: list[str]):
    (found,) = ElementTree.fromstring(musicxml(text)).iter("clef")
    assert [child.text for child in found] == clef


def test_engraved_notes_stand_alone():
    pytest.importorskip("verovio")
    svg = engrave(musicxml(MELODIES[0]))
    root = ElementTree.fromstring(svg)
    assert engrave(musicxml(MELODIES[0])) == svg  # nothing random, so reports can be compared
    assert {e.tag.split("}")[1] for e in root.iter()} <= {
        *("svg", "g", "path", "polygon", "rect", "ellipse", "polyline", "text", "tspan")
    }
    names = {name for element in root.iter() for name in element.attrib}
    assert not names & {"id", "class", "style", "href", "width", "color"} - {"width"}
    assert "width" not in root.attrib and "viewBox" in root.attrib
    colors = {e.get(name) for e in root.iter() for name in ("fill", "stroke")}
    assert colors <= {"currentColor", "none", None}
    assert len(svg) < 12_000


READ_ABC = """
import json, sys, verovio
toolkit = verovio.toolkit()
toolkit.setInputFrom("abc")
files = json.load(sys.stdin)
json.dump([toolkit.loadData(file) and toolkit.renderToMIDI() for file in files], sys.stdout)
"""


@pytest.mark.filterwarnings("ignore:Tempo, Key or Time signature change events")
@pytest.mark.parametrize("key", ["C", "Bb", "F#m", "E"])
def test_verovio_reads_abc_back(key: str):
    """In a process for each key: after a tune in another key verovio reads C as that key."""
    pytest.importorskip("verovio")
    style = Style(key)
    files = json.dumps([abc(text, style) for text in MELODIES])
    run = [sys.executable, "-c", READ_ABC]
    done = subprocess.run(run, input=files, capture_output=True, text=True, check=True)
    for text, file in zip(MELODIES, json.loads(done.stdout), strict=True):
        midi = pretty_midi.PrettyMIDI(io.BytesIO(base64.b64decode(file)))
        notes = [note for instrument in midi.instruments for note in instrument.notes]
        found = [[round(24 * note.start), note.pitch] for note in notes]
        wanted = [[start, pitch + style.shift] for start, _, pitch in expected(text)]
        if "@" in text:  # verovio doesn't read lengths that are thirds
            found, wanted = ([pitch for _, pitch in one] for one in (found, wanted))
        assert found == wanted, text


def test_abc_is_legible():
    assert abc("C4---D4-E4-F#4-------" + "C3---B5---.-------", Style("C"), "A tune") == (
        "X:1\nT:A tune\nM:4/4\nL:1/16\nQ:1/4=120\nK:C\nC4 D2E2 ^F8 | C,4 b4 z8 |]\n"
    )


def test_what_is_no_musicxml_raises():
    pytest.importorskip("verovio")
    with pytest.raises(ValueError, match="can't read this MusicXML"):
        engrave("<html/>")
    for text in ("<svg/>", "C9", ""):
        with pytest.raises(ValueError, match="is not a melody"):
            musicxml(text)
