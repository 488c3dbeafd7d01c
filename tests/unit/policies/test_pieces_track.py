from __future__ import annotations

import os
from pathlib import Path

import pytest

from sequence_tutor.policies.melody_time import Time
from sequence_tutor.policies.melody_tokens import TOKENS
from sequence_tutor.policies.pieces.corpus import Request, read_music_corpus
from sequence_tutor.policies.pieces.melody import melody_of
from sequence_tutor.policies.pieces.midi import read_midi
from sequence_tutor.policies.pieces.piece import Note, Part, ReadError
from sequence_tutor.policies.pieces.track import choose
from sequence_tutor.policies.pieces.track_names import accompanies, role

CASES = Path(__file__).resolve().parents[4] / "shared" / "data" / "midi_cases"


def part(name: str, *pitches: int, quarters: float = 1, **options) -> Part:
    notes = [Note(p, i * quarters, (i + 1) * quarters) for i, p in enumerate(pitches)]
    return Part(name, tuple(notes), **options)


TUNE = part("", 60, 62, 64, 65, 67, 65, 64, 62)


@pytest.mark.parametrize(
    ("likelier", "than"),
    [
        ("Melody", "Melody line"),
        ("MELODIE", "Voice"),
        ("mélodie", "Flute"),
        ("Flute (tune)", "Lead Vocals"),
        ("Lead Vocals", "Soprano"),
        ("Gesang", "Klavier"),
        ("Singstimme", "Soprano"),
        ("Canto", "Piano"),
        ("Chant", "Alto"),
        ("Voz", "Guitarra"),
        ("Soprano", "Alto"),
        ("Alto", "Piano right"),
        ("Piano right", "Piano"),
        ("Voice", "Voicemail"),
        ("LeadVocal", "Guitar"),
        ("Lead 2 (sawtooth)", "Pad 2 (warm)"),
        ("Hauptmelodie", "Viola"),
    ],
)
def test_names_of_melodies(likelier: str, than: str):
    first, second = role(likelier), role(than)
    assert first is not None and (second is None or first < second)


@pytest.mark.parametrize(
    "name",
    [
        "Voice Oohs",
        "Backing Vocals",
        "Choir Aahs",
        "Lead Bass",
        "Piano left hand",
        "Klavierbegleitung",
        "Accompaniment",
        "Background vox",
        "BackVocals",
        "Drum solo",
        "Chœur",
        "Percussion",
        "Synth Pad",
    ],
)
def test_names_of_what_goes_with_a_melody(name: str):
    assert accompanies(name) and role(name) is None


@pytest.mark.parametrize("name", ["", "Violin", "Klavier", "Track 1", "Melodic Toms", "Mistral"])
def test_names_that_say_nothing(name: str):
    assert role(name) is None and not accompanies(name)


def test_the_likeliest_name_has_the_melody():
    parts = [part("Violins", 84, 86), part("Voice Oohs", 72), part("melody", 60, 62)]
    choice = choose(parts)
    assert (choice.number, choice.reason) == (3, "its name")
    assert choose([part("Piano", 60, 62), part("Backing Vocals", 72, 74)]).number == 1


def test_without_names_the_highest_line_that_moves():
    chords = Part("", tuple(Note(p, i, i + 1) for i in range(8) for p in (64, 67, 71)))
    long = part("", 79, 77, quarters=4)
    bass = part("", *[70] * 8, program=33)
    seldom = Part("", (Note(90, 0, 1), Note(91, 1, 1.5)))
    drums = part("", *[80] * 8, drums=True)
    found = choose([drums, chords, long, bass, seldom, TUNE])
    assert (found.number, found.reason) == (6, "being the highest line")
    assert choose([drums, TUNE]).reason == "being the only one"
    for lower in (chords, long, bass, seldom):  # control: each alone would be the highest
        assert choose([Part("", tuple(n._replace(pitch=n.pitch - 24) for n in TUNE.notes)), lower])
    assert choose([TUNE, part("", *[72] * 8)]).number == 2


def test_the_user_decides():
    parts = [part("Flute", 84, 86), part("Piano", 60, 62), part("Piano 2", 48, 50)]
    for track, number in [("1", 1), ("3", 3), ("piano", 2), ("ano 2", 3), ("FLUTE", 1)]:
        choice = choose(parts, track)
        assert (choice.number, choice.reason) == (number, "--track")
    with pytest.raises(ReadError, match="no part called 'Oboe'; its parts are 'Flute', 'Piano'"):
        choose(parts, "Oboe")
    with pytest.raises(ReadError, match="no part 4, but 3 of them"):
        choose(parts, "4")


@pytest.mark.parametrize(
    ("name", "time", "first"),
    [
        ("oohs", Time(), "C4---D4---E4---F4---"),
        ("flute_oohs", Time(), "C5---D5---E5---F5---"),
        ("melodie", Time(), "C4---D4---E4---F4---"),
        ("pickup", Time(), "--------------G4-C4---D4---E4---F4---"),
        ("trip", Time(4, 4, 12), "C4---D4---E4---F4---G4---A4---"),
    ],
)
def test_the_cases(name: str, time: Time, first: str):
    path = CASES / f"{name}.mid"
    if not path.is_file() and not os.environ.get("CI"):
        pytest.skip("shared/data/midi_cases is missing")
    found = melody_of(read_midi(path.read_bytes()), time, transpose=False)
    text = "".join(TOKENS[token] for token in found.segments[0])
    assert text.startswith(first)
    assert found.moved + found.collided + found.vanished + found.out_of_range == 0


def test_the_choice_is_said(tmp_path: Path):
    path = CASES / "oohs.mid"
    if not path.is_file() and not os.environ.get("CI"):
        pytest.skip("shared/data/midi_cases is missing")
    (tmp_path / "a.mid").write_bytes(path.read_bytes())
    corpus = read_music_corpus(tmp_path, lambda _: None, Request())
    assert (
        "1 pieces have several parts; the melody's was chosen: 1 by its name (tracks.csv beside "
        "the prior has each; --track decides)" in corpus.notes
    )
    columns, row = corpus.tables["tracks.csv"]
    assert dict(zip(columns, row, strict=True)) == {
        "file": "a.mid",
        "title": "",
        "part": "1",
        "name": "Piano right",
        "reason": "its name",
        "parts": "1 Piano right; 2 Voice Oohs",
    }
    decided = read_music_corpus(tmp_path, lambda _: None, Request(track="Voice Oohs"))
    assert decided.tables["tracks.csv"][1][4] == "--track"
    assert decided.sequences != corpus.sequences
