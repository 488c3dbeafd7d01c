"""Melodies as files to hear and see: MIDI, WAV and piano rolls."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pretty_midi

from sequence_tutor.rewards.melodies.notes import STEPS_PER_BEAT, Notes, find_notes
from sequence_tutor.rewards.melodies.piano_roll import write_piano_roll
from sequence_tutor.rewards.melodies.spelling import parse

QUARTERS_PER_MINUTE = 120
STEP_S = 60 / QUARTERS_PER_MINUTE / STEPS_PER_BEAT
LOWEST = 48  # MIDI pitch of the first note-on
RATE = 22_050  # samples per second, enough for the highest harmonic used, 3 kHz
RELEASE_S = 1.0  # seconds after the last step in which a synthesizer's sound may fade
SYNTHESIZERS = ("sine", "fluidsynth")


def render(melodies: Sequence[str], directory: Path, synthesizer: str = "sine") -> list[Path]:
    """Write melody-01.mid, melody-01.wav, ... in the order given, and piano_rolls.png of all.

    Makes the directory where it's missing. Raises ValueError for text that isn't a melody.
    """
    directory.mkdir(parents=True, exist_ok=True)
    digits = max(2, len(str(len(melodies))))
    names = [f"melody-{i:0{digits}}" for i in range(1, len(melodies) + 1)]
    paths = []
    for name, text in zip(names, melodies, strict=True):
        paths += [directory / f"{name}.mid", directory / f"{name}.wav"]
        write_midi(text, paths[-2])
        write_wav(text, paths[-1], synthesizer)
    if melodies:
        paths.append(directory / "piano_rolls.png")
        write_piano_roll(melodies, paths[-1], names)
    return paths


def write_midi(text: str, path: Path, program: int = 0) -> None:
    """Write one track of 120 quarter notes a minute; `program` is the General MIDI sound, 0..127.

    MIDI stores only notes: silence at the end and the length aren't in the file. Raises ValueError
    for text that isn't a melody.
    """
    _midi(_notes(text)[0], program).write(str(path))


def write_wav(
    text: str,
    path: Path,
    synthesizer: str = "sine",
    soundfont: Path | None = None,
    program: int = 0,
) -> None:
    """Write 16-bit mono at full volume: the melody at 120 quarter notes a minute, and 1 s more.

    "sine" needs no other software and ignores the program; "fluidsynth" plays the program of a
    soundfont (.sf2; by default a small one that comes with pretty_midi). Raises ValueError.
    """
    if synthesizer not in SYNTHESIZERS:
        raise ValueError(f"unknown synthesizer {synthesizer!r}: use {' or '.join(SYNTHESIZERS)}")
    if soundfont is not None and synthesizer != "fluidsynth":
        raise ValueError("a soundfont is played by synthesizer='fluidsynth' alone")
    notes, steps = _notes(text)
    midi = _midi(notes, program)
    if synthesizer == "fluidsynth":
        if missing := lacks_fluidsynth():
            raise ValueError(f"synthesizer 'fluidsynth': {missing}; or use 'sine'")
        font = None if soundfont is None else str(soundfont)
        sound = midi.fluidsynth(fs=RATE, synthesizer=font, normalize=False)
    else:
        # each note starts at zero and fades at its end, so there are no clicks
        sound = midi.synthesize(fs=RATE, wave=_timbre, normalize=False)
    samples = np.zeros(round((steps * STEP_S + RELEASE_S) * RATE))
    sound = sound[: len(samples)]
    samples[: len(sound)] = sound
    samples *= 0.95 * 32767 / max(float(np.abs(samples).max()), 1e-9)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.round().astype("<i2").tobytes())


def _notes(text: str) -> tuple[Notes, int]:
    """The notes of a melody and its length in steps."""
    tokens = parse(text)
    if tokens is None:
        raise ValueError(f"{text[:60]!r} is not a melody")
    return find_notes(tokens[None]), len(tokens)


def _midi(notes: Notes, program: int) -> pretty_midi.PrettyMIDI:
    # 480 ticks a quarter note: a step is a whole number of them
    midi = pretty_midi.PrettyMIDI(resolution=480, initial_tempo=QUARTERS_PER_MINUTE)
    instrument = pretty_midi.Instrument(program, name="melody")
    for start, pitch, length in zip(notes.start, notes.pitch, notes.length, strict=True):
        begin_s, end_s = float(start) * STEP_S, float(start + length) * STEP_S
        instrument.notes.append(pretty_midi.Note(90, int(pitch) + LOWEST, begin_s, end_s))
    midi.instruments.append(instrument)
    return midi


def _timbre(phase: np.ndarray) -> np.ndarray:
    """A tone and two harmonics, so that low notes are heard on small speakers; radians -> sound."""
    tone: np.ndarray = np.sin(phase) + 0.3 * np.sin(2 * phase) + 0.1 * np.sin(3 * phase)
    return tone


def lacks_fluidsynth() -> str:
    """Why FluidSynth can't be used here and what to do; empty where it can."""
    try:
        import_module("fluidsynth")
    except (ImportError, OSError, AttributeError):  # the Python package or its library is missing
        return (
            "FluidSynth is missing (install your system's fluidsynth package and "
            "`pip install pyfluidsynth`)"
        )
    return ""
