"""Melodies as files to hear and see: MIDI, WAV, MusicXML, ABC, notes and piano rolls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sequence_tutor.rewards.melodies.depicting.abc import abc
from sequence_tutor.rewards.melodies.depicting.engraving import engrave, lacks_verovio
from sequence_tutor.rewards.melodies.depicting.musicxml import musicxml
from sequence_tutor.rewards.melodies.piano_roll import write_piano_roll
from sequence_tutor.rewards.melodies.sound import midi_bytes, wav_bytes
from sequence_tutor.rewards.melodies.style import PLAIN, Style


def render(
    melodies: Sequence[str], directory: Path, synthesizer: str = "sine", style: Style = PLAIN
) -> list[Path]:
    """Write melody-01.mid, .wav, .musicxml and .abc, ... in the order given, and piano_rolls.png of
    all; where verovio is installed, also melody-01.svg, ... with the notes.

    Makes the directory where it's missing. Raises ValueError for text that isn't a melody.
    """
    directory.mkdir(parents=True, exist_ok=True)
    digits = max(2, len(str(len(melodies))))
    names = [f"melody-{i:0{digits}}" for i in range(1, len(melodies) + 1)]
    engraved = not lacks_verovio()
    paths = []

    def place(name: str, kind: str) -> Path:
        paths.append(directory / f"{name}.{kind}")
        return paths[-1]

    for name, text in zip(names, melodies, strict=True):
        write_midi(text, place(name, "mid"), style)
        write_wav(text, place(name, "wav"), synthesizer, style=style)
        score = musicxml(text, style)
        place(name, "musicxml").write_text(score, encoding="utf-8")
        place(name, "abc").write_text(abc(text, style, name), encoding="utf-8")
        if engraved:
            place(name, "svg").write_text(engrave(score), encoding="utf-8")
    if melodies:
        write_piano_roll(melodies, place("piano_rolls", "png"), names)
    return paths


def write_midi(text: str, path: Path, style: Style = PLAIN) -> None:
    """Write `sound.midi_bytes` of a melody."""
    path.write_bytes(midi_bytes(text, style))


def write_wav(
    text: str,
    path: Path,
    synthesizer: str = "sine",
    soundfont: Path | None = None,
    style: Style = PLAIN,
) -> None:
    """Write `sound.wav_bytes` of a melody."""
    path.write_bytes(wav_bytes(text, synthesizer, soundfont, style))
