from __future__ import annotations

import sys
import wave
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pretty_midi
import pytest
from PIL import Image

from sequence_tutor.rewards.melodies.depicting.abc import abc
from sequence_tutor.rewards.melodies.depicting.musicxml import musicxml
from sequence_tutor.rewards.melodies.domain import MelodyDomain
from sequence_tutor.rewards.melodies.piano_roll import FOREIGN, NOTE, write_piano_roll
from sequence_tutor.rewards.melodies.rendering import render, write_midi, write_wav
from sequence_tutor.rewards.melodies.spelling import TEXTS, parse, spell, tokens_of
from sequence_tutor.rewards.melodies.style import Style

MELODY = "-C4---D4-.-F#4-------A4"  # 18 steps


def test_parse_and_spell_are_inverse():
    melody = parse(MELODY)
    assert melody is not None and melody.tokens.dtype == np.int64
    tokens = melody.tokens
    assert tokens.tolist() == [0, 14, 0, 0, 0, 16, 0, 1, 0, 20, 0, 0, 0, 0, 0, 0, 0, 23]
    assert spell(tokens) == MELODY and "".join(tokens_of(MELODY)) == MELODY
    assert len(tokens_of(MELODY)) == 18 and len(TEXTS) == len(set(TEXTS)) == 38


@pytest.mark.parametrize("text", ["CCO", "C4 D4", "C6", "C4-C", "x", "E#4", "c4"])
def test_text_that_is_no_melody_raises(text: str, tmp_path: Path):
    assert parse(text) is None
    with pytest.raises(ValueError, match="is not a melody"):
        tokens_of(text)
    for write in (write_midi, write_wav, write_piano_roll):
        with pytest.raises(ValueError, match="is not a melody"):
            write(text, tmp_path / "file")
    assert not list(tmp_path.iterdir())


def test_empty_text_is_no_melody():
    assert parse("") is None and tokens_of("") == []


def test_midi_has_the_notes_of_a_melody(tmp_path: Path):
    write_midi(MELODY, tmp_path / "a.mid", style=Style(instrument=73))
    midi = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid"))
    assert midi.get_tempo_changes()[1].tolist() == [120]
    (instrument,) = midi.instruments
    assert instrument.program == 73 and not instrument.is_drum
    # an eighth of a second for each step
    notes = [(n.pitch, n.start * 8, n.end * 8) for n in instrument.notes]
    assert notes == [(60, 1, 5), (62, 5, 7), (66, 9, 17), (69, 17, 18)]


def sound(path: Path) -> tuple[np.ndarray, int]:
    with wave.open(str(path)) as file:
        assert file.getnchannels() == 1 and file.getsampwidth() == 2
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return samples.astype(float) / 32768, file.getframerate()


def test_wav_sounds_as_written(tmp_path: Path):
    write_wav("A4" + "-" * 7 + "." + "-" * 7 + "C5" + "-" * 7, tmp_path / "a.wav")
    samples, rate = sound(tmp_path / "a.wav")
    assert len(samples) == (24 / 8 + 1) * rate
    assert 0.9 < np.abs(samples).max() <= 1
    for start_s, hertz in ((0, 440), (2, 523.25)):
        part = samples[int(start_s * rate) :][: int(0.9 * rate)]
        spectrum = np.abs(np.fft.rfft(part))
        assert np.fft.rfftfreq(len(part), 1 / rate)[spectrum.argmax()] == pytest.approx(
            hertz, abs=2
        )
    assert not samples[int(1.01 * rate) : int(1.99 * rate)].any()  # the rest
    assert not samples[3 * rate :].any()
    # a click would be a jump; the highest partial of C5 alone moves less than this per sample
    assert np.abs(np.diff(samples)).max() < 0.3
    assert abs(samples[0]) < 0.01 and abs(samples[rate - 1]) < 0.01


def test_silence_can_be_written(tmp_path: Path):
    paths = render(["-" * 16], tmp_path)
    samples, rate = sound(tmp_path / "melody-01.wav")
    assert len(samples) == 3 * rate and not samples.any()
    assert not pretty_midi.PrettyMIDI(str(paths[0])).instruments


def test_a_missing_fluidsynth_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.wav"
    monkeypatch.setitem(sys.modules, "fluidsynth", None)  # not installed
    with pytest.raises(ValueError, match="pip install pyfluidsynth"):
        write_wav(MELODY, path, synthesizer="fluidsynth")
    with pytest.raises(ValueError, match="unknown synthesizer 'organ': use sine or fluidsynth"):
        write_wav(MELODY, path, synthesizer="organ")
    with pytest.raises(ValueError, match="soundfont is played by"):
        write_wav(MELODY, path, soundfont=tmp_path / "a.sf2")
    assert not path.exists()


def test_fluidsynth_plays_the_soundfont(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = {}

    def play(self: pretty_midi.PrettyMIDI, **options: object) -> np.ndarray:
        asked.update(options, program=self.instruments[0].program)
        return np.full(500_000, 0.01)

    monkeypatch.setitem(sys.modules, "fluidsynth", sys)  # stands for it
    monkeypatch.setattr(pretty_midi.PrettyMIDI, "fluidsynth", play)
    font = tmp_path / "a.sf2"
    write_wav(MELODY, tmp_path / "a.wav", "fluidsynth", soundfont=font, style=Style(instrument=40))
    assert asked["synthesizer"] == str(font) and asked["program"] == 40
    samples, rate = sound(tmp_path / "a.wav")
    assert len(samples) == round((18 / 8 + 1) * rate) and samples.min() > 0.9


def colours(image: Image.Image, box: tuple[int, int, int, int]) -> set[str]:
    counted = image.convert("RGB").crop(box).getcolors(1 << 16)
    return {"#{:02x}{:02x}{:02x}".format(*colour) for _, colour in counted}


def test_a_piano_roll_colours_notes_out_of_key(tmp_path: Path):
    path = tmp_path / "roll.png"
    write_piano_roll("C4---F#4---" + "-" * 24, path)
    image = Image.open(path)
    assert image.format == "PNG"
    width, height = image.size
    quarter = (width - 46) // 8
    assert NOTE in colours(image, (34, 0, 34 + quarter, height))
    assert FOREIGN not in colours(image, (34, 0, 34 + quarter, height))
    assert FOREIGN in colours(image, (34 + quarter, 0, width, height))
    assert NOTE not in colours(image, (34 + quarter, 0, width, height))


def test_a_higher_note_lies_higher(tmp_path: Path):
    path = tmp_path / "roll.png"
    for pitch, part in (("C3", 2), ("B5", 0)):
        write_piano_roll(pitch + "-" * 31, path)
        image = Image.open(path)
        third = image.height // 3
        found = [
            NOTE in colours(image, (0, i * third, image.width, (i + 1) * third)) for i in range(3)
        ]
        assert found == [i == part for i in range(3)]


def test_several_melodies_lie_one_below_the_other(tmp_path: Path):
    one, two, long = (tmp_path / f"{name}.png" for name in ("one", "two", "long"))
    write_piano_roll("C4---", one)
    write_piano_roll(["C4---", "F#4---"], two, ["first", "second"])
    image, single = Image.open(two), Image.open(one)
    assert image.size == (single.width, 2 * single.height)
    everywhere = (0, 0, image.width, single.height)
    assert FOREIGN not in colours(image, everywhere)
    assert FOREIGN in colours(image, (0, single.height, *image.size))
    write_piano_roll("C4---" * 256, long)
    assert Image.open(long).width < 2200
    with pytest.raises(ValueError, match="no melody"):
        write_piano_roll([], tmp_path / "none.png")


def test_render_writes_all_kinds_of_files(tmp_path: Path):
    pytest.importorskip("verovio")
    folder = tmp_path / "new" / "folder"
    paths = render([MELODY, "C4---"], folder)
    assert [p.name for p in paths] == [
        "melody-01.mid",
        "melody-01.wav",
        "melody-01.musicxml",
        "melody-01.abc",
        "melody-01.svg",
        "melody-02.mid",
        "melody-02.wav",
        "melody-02.musicxml",
        "melody-02.abc",
        "melody-02.svg",
        "piano_rolls.png",
    ]
    assert sorted(paths) == sorted(folder.iterdir())
    assert render([], tmp_path / "none") == [] and not list((tmp_path / "none").iterdir())
    assert paths[2].read_text(encoding="utf-8") == musicxml(MELODY)
    assert paths[3].read_text(encoding="utf-8") == abc(MELODY, title="melody-01")
    assert ElementTree.parse(paths[4]).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_the_domain_says_what_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("verovio")
    monkeypatch.setitem(sys.modules, "fluidsynth", None)
    said = MelodyDomain().render([MELODY, "no melody"], tmp_path / "all")
    assert said.startswith(
        f"1 melodies are in {tmp_path / 'all'}: MIDI, MusicXML, ABC, notes (SVG), piano rolls and "
        "WAV (plain tones, since FluidSynth is missing"
    )
    monkeypatch.setitem(sys.modules, "verovio", None)
    said = MelodyDomain().render([MELODY], tmp_path / "some")
    assert "MIDI, MusicXML, ABC, piano rolls and WAV (" in said
    assert said.endswith("; engraved notes need verovio: pip install 'sequence-tutor[notes]'")
    kinds = sorted(path.suffix for path in (tmp_path / "some").iterdir())
    assert kinds == [".abc", ".mid", ".musicxml", ".png", ".wav"]


def test_midi_has_key_metre_and_tempo(tmp_path: Path):
    write_midi("3/4:C4---E4-----G4-----", tmp_path / "a.mid", Style("Bb", 90, 40))
    midi = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid"))
    (metre,), (key,) = midi.time_signature_changes, midi.key_signature_changes
    assert (metre.numerator, metre.denominator) == (3, 4) and key.key_number == 10
    assert midi.get_tempo_changes()[1] == pytest.approx([90], abs=0.01)
    (instrument,) = midi.instruments
    notes = [(n.pitch, n.velocity) for n in instrument.notes]
    assert notes == [(58, 100), (62, 90), (65, 80)] and instrument.program == 40
    write_midi("C4---", tmp_path / "b.mid", Style("F#m"))
    (key,) = pretty_midi.PrettyMIDI(str(tmp_path / "b.mid")).key_signature_changes
    assert key.key_number == 12 + 6


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ({"key": "H"}, "'H' is not a key"),
        ({"key": "G#"}, "'G#' is not a key"),
        ({"tempo": 5}, "the tempo must be 20 to 300"),
        ({"instrument": 128}, "the instrument must be 0 to 127"),
        ({"colour": "red"}, "melodies have no colour"),
    ],
)
def test_what_no_style_can_be(style: dict, message: str, tmp_path: Path):
    with pytest.raises(ValueError, match=message):
        MelodyDomain().render([MELODY], tmp_path, **style)
    assert not list(tmp_path.iterdir())
