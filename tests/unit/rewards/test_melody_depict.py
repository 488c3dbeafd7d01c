"""What a report shows of a melody, checked on what is drawn and played, not on how."""

from __future__ import annotations

import io
import re
import sys
import wave
from collections import Counter
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
import pretty_midi
import pytest

from sequence_tutor.rewards.depiction import Depiction
from sequence_tutor.rewards.melodies.depicting.broken_rules import Broken
from sequence_tutor.rewards.melodies.depicting.roll import BROKEN, LEFT, NOTE, PLOT, piano_roll
from sequence_tutor.rewards.melodies.domain import MelodyDomain
from sequence_tutor.rewards.melodies.spelling import read

GOOD = "C4---D4---E4---.---"
BAD = "C4C4C4C4C4C4...F#4G5C4---------C4-D5.C3-B5-"
LONG = "A4---D5---.-D5-A#4-A4-F#4---.-----A4-A4-G#4-" * 16  # 512 steps
MELODIES = [GOOD, BAD, LONG, "-" * 16, "C3B5C3B5", "....", "-D4" + "-" * 40]
LACKS = "engraved notes need verovio: pip install 'sequence-tutor[notes]'"


def depict(text: str) -> Depiction:
    return MelodyDomain().depict(text)


def drawn(svg: str, kind: str = "note") -> list[Element]:
    return [e for e in ElementTree.fromstring(svg).iter() if e.get("class") == kind]


def title(group: Element) -> str:
    (found,) = [e for e in group if e.tag.endswith("title")]
    return found.text or ""


def boxes(group: Element) -> list[tuple[float, float, float]]:
    """Left edge, upper edge and width of what is drawn of a note."""
    rects = [e for e in group if e.tag.endswith("rect")]
    return [tuple(float(e.get(name, "")) for name in ("x", "y", "width")) for e in rects]  # type: ignore[misc]


@pytest.fixture(autouse=True)
def no_fluidsynth(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same sound on every machine."""
    monkeypatch.setitem(sys.modules, "fluidsynth", None)


@pytest.mark.parametrize("text", MELODIES)
def test_each_note_is_drawn_once(text: str):
    roll = depict(text).pictures[0]
    names = re.findall(r"[A-G]#?\d", text)
    assert len(drawn(roll.svg)) == len(names)
    bars = -(-len(re.findall(r"-|\.|[A-G]#?\d", text)) // 16)
    assert f"{bars} bar" in roll.text and f"{len(names)} note" in roll.text


@pytest.mark.parametrize("text", MELODIES)
def test_pictures_stand_alone(text: str):
    for picture in depict(text).pictures:
        root = ElementTree.fromstring(picture.svg)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "viewBox" in root.attrib and not {"width", "height"} & set(root.attrib)
        tags = {element.tag.split("}")[1] for element in root.iter()}
        assert not tags & {"script", "style", "use", "image", "a", "foreignObject", "animate"}
        attributes = {name for element in root.iter() for name in element.attrib}
        assert not [n for n in attributes if n.startswith("on") or n in ("id", "style", "href")]
        assert "url(" not in picture.svg and picture.svg.count("://") == 1  # the namespace
        colors = {e.get(name) for e in root.iter() for name in ("fill", "stroke")}
        assert colors <= {None, "none", "currentColor", NOTE, BROKEN}


def luminance(color: str) -> float:
    parts = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("color", [NOTE, BROKEN])
@pytest.mark.parametrize("page", ["#ffffff", "#000000", "#1e1e1e"])
def test_notes_are_seen_on_light_and_dark_pages(color: str, page: str):
    high, low = sorted((luminance(color), luminance(page)), reverse=True)
    assert (high + 0.05) / (low + 0.05) > 3  # WCAG 1.4.11, graphics


def test_notes_lie_where_they_sound():
    one, two, three = (boxes(group) for group in drawn(depict(GOOD).pictures[0].svg))
    step = PLOT / 16  # one bar on a line
    assert [x for ((x, _, _),) in (one, two, three)] == pytest.approx(
        [LEFT + at * step + 0.5 for at in (0, 4, 8)], abs=0.01
    )
    assert [w for ((_, _, w),) in (one, two, three)] == pytest.approx([4 * step - 1] * 3, abs=0.01)
    c, d, e = (box[0][1] for box in (one, two, three))
    assert c - d == d - e > 0  # a tone each, and upwards


def test_a_long_melody_goes_on_in_the_next_line():
    text = "C4---" + "-" * 56 + "D4-------" + "C4---"  # D4 goes over the end of bar 4
    (_, over, after) = drawn(depict(text).pictures[0].svg)
    (x, y, _), (left, below, _) = boxes(over)
    assert x > left == pytest.approx(LEFT + 0.5) and below > y
    assert boxes(after)[0][1] > below  # C4 lies below D4 in the second line
    widths = {ElementTree.fromstring(depict(t).pictures[0].svg).get("viewBox", "").split()[2]
              for t in (GOOD, LONG)}  # fmt: skip
    assert len(widths) == 1


def test_broken_rules_are_marked_on_their_notes():
    svg = depict("C4---F#4---G4---C5---").pictures[0].svg
    first, second, *others = drawn(svg)
    assert second.get("data-rule") == "key"
    assert title(second) == "F♯4, bar 1. Key: outside C major and A minor"
    assert title(first) == "C4, bar 1"
    for group in (first, *others):
        assert group.get("data-rule") is None
        assert not [e for e in group if e.tag.endswith("path")]
    # not by its color alone: it is hollow, and there is a wedge
    assert [e.get("fill-opacity") for e in second if e.tag.endswith("rect")] == [".2"]
    assert len([e for e in second if e.tag.endswith("path")]) == 1


def test_a_note_may_break_several_rules_and_so_may_a_rest():
    svg = depict(BAD).pictures[0].svg
    marked = {i: g.get("data-rule") for i, g in enumerate(drawn(svg)) if g.get("data-rule")}
    assert marked[4] == marked[5] == "repetition"
    assert marked[6] == "key"
    assert "leaps" in " ".join(marked.values()) and any(" " in r for r in marked.values())
    (rest,) = drawn(svg, "rest")
    assert rest.get("data-rule") == "repetition"
    assert title(rest) == "Rest, bar 1. Repetition: a note off after two others"


def test_a_hostile_text_stays_text():
    """No melody has such names; a rule's words could."""
    melody = read(GOOD)
    hostile = '</title><script>alert(1)</script>" onload="x'
    svg = piano_roll(melody, 16, [Broken(hostile, 4, 1, hostile, 1)])
    group = drawn(svg)[1]
    assert group.get("data-rule") == hostile and hostile in title(group)
    assert "<script" not in svg
    for text in ("<svg onload=alert(1)>", "C4<script>", ""):
        with pytest.raises(ValueError, match="is not a melody"):
            depict(text)


def sound(content: bytes) -> tuple[np.ndarray, int]:
    with wave.open(io.BytesIO(content)) as file:
        assert file.getnchannels() == 1 and file.getsampwidth() == 2
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return samples.astype(float) / 32768, file.getframerate()


@pytest.mark.parametrize("text", [GOOD, LONG])
def test_the_sound_has_the_melodys_length(text: str):
    samples, rate = sound(depict(text).sound)
    steps = len(re.findall(r"-|\.|[A-G]#?\d", text))
    assert len(samples) == round((steps / 8 + 0.1) * rate) and 0.9 < np.abs(samples).max() <= 1
    assert rate == 8000  # no partial of plain tones lies above 4 kHz


def test_the_sound_has_the_melodys_pitch():
    samples, rate = sound(depict("A4" + "-" * 15).sound)
    spectrum = np.abs(np.fft.rfft(samples))
    peak = np.fft.rfftfreq(len(samples), 1 / rate)[spectrum.argmax()]
    assert peak == pytest.approx(440, abs=1)


def test_fluidsynth_plays_where_it_is(monkeypatch: pytest.MonkeyPatch):
    def play(self: pretty_midi.PrettyMIDI, fs: int, **options: object) -> np.ndarray:
        return np.full(20 * fs, 0.01)

    monkeypatch.setitem(sys.modules, "fluidsynth", sys)  # stands for it
    monkeypatch.setattr(pretty_midi.PrettyMIDI, "fluidsynth", play)
    samples, rate = sound(depict(GOOD).sound)
    assert rate == 16_000 and len(samples) == (16 / 8 + 1) * rate and samples.min() > 0.9


def test_files_have_the_melody():
    midi, score = depict(BAD).files
    assert (midi.name, midi.media_type) == ("melody.mid", "audio/midi")
    (instrument,) = pretty_midi.PrettyMIDI(io.BytesIO(midi.content)).instruments
    notes = [(note.pitch, round(note.start * 8)) for note in instrument.notes]
    assert notes[:6] == [(60, i) for i in range(6)] and notes[-1] == (83, 27)
    assert len(notes) == len(re.findall(r"[A-G]", BAD))
    assert score.name == "melody.musicxml"
    assert score.media_type == "application/vnd.recordare.musicxml+xml"
    assert ElementTree.fromstring(score.content).tag == "score-partwise"


def test_remarks_are_the_broken_rules():
    assert depict(GOOD).remarks == ()
    (line,) = depict("C4---F#4---G4---C5---").remarks
    assert line == "key: 1 note outside C major and A minor (bar 1)"


def test_what_is_too_long_to_draw_is_said(monkeypatch: pytest.MonkeyPatch):
    module = sys.modules["sequence_tutor.rewards.melodies.depicting.depict"]
    monkeypatch.setattr(module, "SHOWN_BARS", 2)
    text = "C4---" * 7 + "E4" + "-" * 9 + "F#4---"  # E4 goes on after bar 2, F#4 begins there
    whole = depict(text)
    assert (
        len(drawn(whole.pictures[0].svg)) == 8
        and "2 bars of 4/4: 8 notes" in whole.pictures[0].text
    )
    samples, rate = sound(whole.sound)
    assert len(samples) == 4.1 * rate
    assert "pictures and sound end after 2 of 3 bars" in whole.remarks
    assert any("bar 3" in line for line in whole.remarks if line.startswith("key"))
    midi = pretty_midi.PrettyMIDI(io.BytesIO(whole.files[0].content))
    assert len(midi.instruments[0].notes) == 9


def test_notes_are_the_second_picture():
    pytest.importorskip("verovio")
    roll, notes = depict(GOOD).pictures
    assert (
        roll.title == ""
        and notes.title == "Notes"
        and notes.text.startswith("Notes of 1 bar of 4/4:")
    )
    shapes = Counter(e.get("d") for e in ElementTree.fromstring(notes.svg).iter())
    del shapes[None]
    assert shapes.most_common(1)[0][1] == 3  # the heads of three quarter notes


def test_without_verovio_there_are_no_notes_and_a_remark(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "verovio", None)  # not installed
    shown = depict(GOOD)
    assert len(shown.pictures) == 1 and shown.remarks == (LACKS,)
    assert len(shown.files) == 2 and shown.sound
