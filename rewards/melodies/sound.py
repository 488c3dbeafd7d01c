"""Melodies as bytes of MIDI and WAV files. `rendering` writes them, reports embed them."""

from __future__ import annotations

import io
import wave
from importlib import import_module
from pathlib import Path

import numpy as np
import pretty_midi

from sequence_tutor.rewards.melodies.notes import STEPS_PER_BEAT, Notes, find_notes
from sequence_tutor.rewards.melodies.spelling import parse

QUARTERS_PER_MINUTE = 120
STEP_S = 60 / QUARTERS_PER_MINUTE / STEPS_PER_BEAT
LOWEST = 48  # MIDI pitch of the first note-on
RATE = 22_050  # samples per second of files
RELEASE_S = 1.0  # seconds after the last step in which a synthesizer's sound may fade
SYNTHESIZERS = ("sine", "fluidsynth")


def midi_bytes(text: str, program: int = 0) -> bytes:
    """A MIDI file with one track of 120 quarter notes a minute; `program` is the General MIDI
    sound, 0..127.

    MIDI stores only notes: silence at the end and the length aren't in the file. Raises ValueError
    for text that isn't a melody.
    """
    file = io.BytesIO()
    _midi(notes_of(text)[0], program).write(file)
    return file.getvalue()


def wav_bytes(
    text: str,
    synthesizer: str = "sine",
    soundfont: Path | None = None,
    program: int = 0,
    rate: int = RATE,
    release_s: float = RELEASE_S,
) -> bytes:
    """A WAV file, 16-bit mono at full volume: the melody at 120 quarter notes a minute, and
    `release_s` seconds more.

    "sine" needs no other software and ignores the program; "fluidsynth" plays the program of a
    soundfont (.sf2; by default a small one that comes with pretty_midi). Raises ValueError.
    """
    if synthesizer not in SYNTHESIZERS:
        raise ValueError(f"unknown synthesizer {synthesizer!r}: use {' or '.join(SYNTHESIZERS)}")
    if soundfont is not None and synthesizer != "fluidsynth":
        raise ValueError("a soundfont is played by synthesizer='fluidsynth' alone")
    notes, steps = notes_of(text)
    midi = _midi(notes, program)
    if synthesizer == "fluidsynth":
        if missing := lacks_fluidsynth():
            raise ValueError(f"synthesizer 'fluidsynth': {missing}; or use 'sine'")
        font = None if soundfont is None else str(soundfont)
        sound = midi.fluidsynth(fs=rate, synthesizer=font, normalize=False)
    else:
        # each note starts at zero and fades at its end, so there are no clicks
        sound = midi.synthesize(fs=rate, wave=_timbre, normalize=False)
    samples = np.zeros(round((steps * STEP_S + release_s) * rate))
    sound = sound[: len(samples)]
    samples[: len(sound)] = sound
    samples *= 0.95 * 32767 / max(float(np.abs(samples).max()), 1e-9)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.round().astype("<i2").tobytes())
    return file.getvalue()


def notes_of(text: str) -> tuple[Notes, int]:
    """The notes of a melody and its length in steps. Raises ValueError for text that isn't one."""
    tokens = parse(text)
    if tokens is None:
        raise ValueError(f"{text[:60]!r} is not a melody")
    return find_notes(tokens[None]), len(tokens)


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
