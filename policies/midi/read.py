"""The melody of a MIDI file. Files aren't trusted: size, length and parsing time are limited."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import mido
import numpy as np
import pretty_midi

from sequence_tutor.policies.melody_tokens import HIGH, LOW, STEPS_PER_QUARTER
from sequence_tutor.policies.midi.key import octave_fit, pitch_classes, scale, shift_to_c
from sequence_tutor.policies.midi.line import Note, quantise, skyline, split

MAX_BYTES = 4 * 2**20  # a hundred times a usual file; parsing takes about 5 s per MiB
MAX_STEPS = 100_000  # 3.5 hours at 120 quarter notes a minute
MAX_TICKS = 10_000_000  # of one track
# A number in MIDI ends at the first byte below 0x80; the parser's time grows with its length
# squared.
_ENDLESS_NUMBER = re.compile(rb"[\x80-\xff]{1024}")
# names of tracks that may have the melody, the likeliest first
_MELODY_NAMES = ("melody", "voice", "vocal", "lead", "soprano")


class MidiError(ValueError):
    """A MIDI file can't be used; the message says why, without the file's name."""


@dataclass(frozen=True)
class MidiMelodies:
    """The melody of one file, and the number of notes that reading it changed."""

    segments: tuple[np.ndarray, ...]
    """int16 [T] each: canonical tokens that start with a note-on."""
    shift: int
    """Semitones by which the melody was moved."""
    notes: int
    """Number of notes in the melody before any was dropped."""
    moved: int
    """Number of notes moved to the nearest step."""
    collided: int
    """Number of notes dropped because another note took the same step."""
    vanished: int
    """Number of notes dropped as too short."""
    out_of_range: int
    """Number of notes dropped because no token has their pitch."""


def read_midi(data: bytes, transpose: bool = True) -> MidiMelodies:
    """Read the melody, moved to C major or A minor, or only by octaves without `transpose`.

    Raises MidiError.
    """
    instruments, signature = read_instruments(data)
    everything = [note for _, notes in instruments for note in notes]
    line = skyline(melody_notes(instruments))
    shift = shift_to_c(scale(pitch_classes(everything), signature)) if transpose else 0
    shift += octave_fit(note.pitch + shift for note in line)
    quantised = quantise([note._replace(pitch=note.pitch + shift) for note in line])
    inside = [note for note in quantised.notes if LOW <= note.pitch <= HIGH]
    return MidiMelodies(
        segments=tuple(split(inside)),
        shift=shift,
        notes=len(line),
        moved=quantised.moved,
        collided=quantised.collided,
        vanished=quantised.vanished,
        out_of_range=len(quantised.notes) - len(inside),
    )


def melody_notes(instruments: Sequence[tuple[str, list[Note]]]) -> list[Note]:
    """The notes to find the melody in: those of the track with the likeliest name, or all."""
    for wanted in _MELODY_NAMES:
        named = [(len(notes), name) for name, notes in instruments if wanted in name.lower()]
        if named:
            best = max(named)[1]  # a track that changes its program becomes several instruments
            return [note for name, notes in instruments if name == best for note in notes]
    return [note for _, notes in instruments for note in notes]


def read_instruments(data: bytes) -> tuple[list[tuple[str, list[Note]]], int | None]:
    """(track name, notes) of each instrument but drums, and the key signature's scale 0..11.

    The scale is None without a key signature or with several. Times are steps from the start of the
    file, counted in ticks, so tempo changes don't matter. Raises MidiError.
    """
    if not data:
        raise MidiError("it is empty")
    if len(data) > MAX_BYTES:
        raise MidiError(f"it has more than {MAX_BYTES // 2**20} MiB")
    if not data.startswith(b"MThd"):
        raise MidiError("it is not MIDI: it doesn't start with MThd")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            midi = _parse(data)
    except MidiError:
        raise
    except EOFError:
        raise MidiError("it is cut short") from None
    except Exception as error:  # a damaged file may make the parser raise anything
        text = " ".join(str(error).split())[:200]
        raise MidiError(f"it can't be read: {type(error).__name__} {text}".strip()) from error
    step = midi.resolution / STEPS_PER_QUARTER
    instruments = []
    for instrument in midi.instruments:
        if instrument.is_drum or not instrument.notes:
            continue
        tick = midi.time_to_tick
        times = ((n.pitch, tick(n.start), tick(n.end)) for n in instrument.notes)
        notes = [Note(pitch, int(a) / step, int(b) / step) for pitch, a, b in times]
        instruments.append((instrument.name, notes))
    if not instruments:
        raise MidiError("it has no notes")
    keys = {key.key_number for key in midi.key_signature_changes}
    return instruments, _scale_of(keys.pop()) if len(keys) == 1 else None


def _parse(data: bytes) -> pretty_midi.PrettyMIDI:
    """Parse with pretty_midi. Raises MidiError for what would take too much time or memory."""
    if _ENDLESS_NUMBER.search(data):
        raise MidiError("it holds a number without an end")
    file = mido.MidiFile(file=BytesIO(data))
    if file.ticks_per_beat <= 0:
        raise MidiError("it counts time in film frames instead of beats")
    if file.type == 2:
        raise MidiError("it is of type 2, independent patterns instead of one piece")
    file.tracks = [track for track in file.tracks if track]  # pretty_midi fails for empty ones
    if not file.tracks:
        raise MidiError("it has no notes")
    for track in file.tracks:
        tick = sum(message.time for message in track)
        if tick > MAX_TICKS or tick * STEPS_PER_QUARTER > MAX_STEPS * file.ticks_per_beat:
            raise MidiError("it is too long to be a melody")
    return pretty_midi.PrettyMIDI(mido_object=file)


def _scale_of(key_number: int) -> int:
    """pretty_midi's 0..11 = C..B major, 12..23 = C..B minor -> semitones to the major tonic."""
    return key_number if key_number < 12 else (key_number + 3) % 12
