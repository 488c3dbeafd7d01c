"""Melodies as bytes of MIDI and WAV files. `rendering` writes them, reports embed them."""

from __future__ import annotations

import io
import wave
from importlib import import_module
from pathlib import Path

import numpy as np
import pretty_midi

from sequence_tutor.rewards.melodies.melody import Melody
from sequence_tutor.rewards.melodies.spelling import read
from sequence_tutor.rewards.melodies.style import PLAIN, Style

# Key velocities of a note on the first beat of a bar, on another beat, and elsewhere.
ACCENTS = (100, 90, 80)
TICKS = 480  # of a quarter note, of which each grid's step is a whole number
RATE = 22_050  # samples per second of files
RELEASE_S = 1.0  # seconds after the last step in which a synthesizer's sound may fade
SYNTHESIZERS = ("sine", "fluidsynth")


def midi_bytes(text: str, style: Style = PLAIN) -> bytes:
    """A MIDI file with one track, and with the key, the metre and the tempo.

    MIDI stores only notes: silence at the end and the length aren't in the file. Raises ValueError
    for text that isn't a melody.
    """
    file = io.BytesIO()
    _midi(read(text), style).write(file)
    return file.getvalue()


def wav_bytes(
    text: str,
    synthesizer: str = "sine",
    soundfont: Path | None = None,
    style: Style = PLAIN,
    rate: int = RATE,
    release_s: float = RELEASE_S,
) -> bytes:
    """A WAV file, 16-bit mono at full volume: the melody, and `release_s` seconds more.

    "sine" needs no other software and ignores the instrument; "fluidsynth" plays that of a
    soundfont (.sf2; by default a small one that comes with pretty_midi). Raises ValueError.
    """
    if synthesizer not in SYNTHESIZERS:
        raise ValueError(f"unknown synthesizer {synthesizer!r}: use {' or '.join(SYNTHESIZERS)}")
    if soundfont is not None and synthesizer != "fluidsynth":
        raise ValueError("a soundfont is played by synthesizer='fluidsynth' alone")
    melody = read(text)
    midi = _midi(melody, style)
    played_s = style.seconds(len(melody.tokens), melody.time.grid)
    if synthesizer == "fluidsynth":
        if missing := lacks_fluidsynth():
            raise ValueError(f"synthesizer 'fluidsynth': {missing}; or use 'sine'")
        font = None if soundfont is None else str(soundfont)
        sound = midi.fluidsynth(fs=rate, synthesizer=font, normalize=False)
    else:
        # each note starts at zero and fades at its end, so there are no clicks
        sound = midi.synthesize(fs=rate, wave=_timbre, normalize=False)
    samples = np.zeros(round((played_s + release_s) * rate))
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


def _midi(melody: Melody, style: Style) -> pretty_midi.PrettyMIDI:
    time = melody.time
    midi = pretty_midi.PrettyMIDI(resolution=TICKS, initial_tempo=style.tempo)
    midi.time_signature_changes.append(pretty_midi.TimeSignature(time.count, time.unit, 0.0))
    # pretty_midi numbers major keys from C by semitones, and minor ones after them
    tonic = (style.shift + 9) % 12 + 12 if style.key.endswith("m") else style.shift % 12
    midi.key_signature_changes.append(pretty_midi.KeySignature(tonic, 0.0))
    instrument = pretty_midi.Instrument(style.instrument, name="melody")
    for start, pitch, length in melody.notes:
        accent = 0 if start % time.bar == 0 else 1 if start % time.beat == 0 else 2
        begin_s, end_s = (style.seconds(step, time.grid) for step in (start, start + length))
        note = pretty_midi.Note(ACCENTS[accent], pitch + style.shift, begin_s, end_s)
        instrument.notes.append(note)
    midi.instruments.append(instrument)
    return midi


def _timbre(phase: np.ndarray) -> np.ndarray:
    """A tone and two harmonics, so that low notes are heard on small speakers; radians -> sound."""
    tone: np.ndarray = np.sin(phase) + 0.3 * np.sin(2 * phase) + 0.1 * np.sin(3 * phase)
    return tone
