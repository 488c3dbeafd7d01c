"""MIDI files to pieces. Files aren't trusted: size, length and parsing time are limited."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from io import BytesIO

import mido

from sequence_tutor.policies.pieces.midi_repair import repaired
from sequence_tutor.policies.pieces.piece import Note, Part, Piece, ReadError, sections_of

MAX_QUARTERS = 25_000  # 3.5 hours at 120 quarter notes a minute
MAX_TICKS = 10_000_000  # of one track
DRUM_CHANNEL = 9
NO_END = "notes without an end"


@dataclass
class _Voice:
    """A channel of a track while it is read; times are ticks."""

    program: int | None = None
    """The latest program."""
    notes: list[tuple[int, int, int | None, int | None]] = field(default_factory=list)
    """(onset, pitch, end, program) of each note; without an end while it sounds."""
    sounding: dict[int, int] = field(default_factory=dict)
    """Pitch -> place in `notes` of the note that sounds."""

    def on(self, tick: int, pitch: int) -> None:
        """Begin a note, and end the one of the same pitch that sounds."""
        self.off(tick, pitch)
        self.sounding[pitch] = len(self.notes)
        self.notes.append((tick, pitch, None, self.program))

    def off(self, tick: int, pitch: int) -> None:
        """End a note. What ends where it begins is a note-off that comes late for an earlier note
        of the same pitch."""
        place = self.sounding.get(pitch)
        if place is None or self.notes[place][0] == tick:
            return
        onset, pitch, _, program = self.notes[place]
        self.notes[place] = (onset, pitch, tick, program)
        del self.sounding[pitch]


def read_midi(data: bytes) -> Piece:
    """Read a MIDI file. Fields that the notes don't need are dropped where they are damaged.

    Raises ReadError.
    """
    clean, dropped = repaired(data)
    try:
        file = mido.MidiFile(file=BytesIO(clean), clip=True)
    except Exception as error:  # what the repair didn't foresee may make the parser raise anything
        text = " ".join(str(error).split())[:200]
        raise ReadError(f"it can't be read: {type(error).__name__} {text}".strip()) from error
    if file.ticks_per_beat <= 0:
        raise ReadError("it counts time in film frames instead of beats")
    if file.type == 2:
        raise ReadError("it is of type 2, independent patterns instead of one piece")
    metres: list[tuple[float, int, int]] = []
    keys: set[str] = set()
    tempos: list[tuple[int, int]] = []
    parts: list[Part] = []
    title = ""
    for track in file.tracks:
        voices: dict[int, _Voice] = {}
        tick, name = 0, ""
        for message in track:
            tick += message.time
            if tick > MAX_TICKS or tick > MAX_QUARTERS * file.ticks_per_beat:
                raise ReadError("it is too long to be a melody")
            if message.type == "track_name":
                name = name or _text(message.name)
            elif message.type == "time_signature":
                quarter = tick / file.ticks_per_beat
                metres.append((quarter, message.numerator, message.denominator))
            elif message.type == "key_signature":
                keys.add(message.key)
            elif message.type == "set_tempo":
                tempos.append((tick, message.tempo))
            elif message.type in ("note_on", "note_off", "program_change"):
                voice = voices.setdefault(message.channel, _Voice())
                if message.type == "program_change":
                    voice.program = message.program
                elif message.type == "note_on" and message.velocity:
                    voice.on(tick, message.note)
                else:
                    voice.off(tick, message.note)
        found = _parts(voices, name, tick, file.ticks_per_beat, dropped)
        if track is file.tracks[0] and not found:
            title = name  # a track without notes has the name of the piece
        parts += found
    if not parts:
        raise ReadError("it has no notes")
    end = max(note.end for part in parts for note in part.notes)
    return Piece(
        parts=tuple(parts),
        sections=sections_of(metres, end),
        title=title,
        scale=_scale_of(keys.pop()) if len(keys) == 1 else None,
        tempo=60e6 / min(tempos)[1] if tempos else None,
        dropped={what: n for what, n in dropped.items() if n},
    )


def _parts(
    voices: dict[int, _Voice], name: str, end: int, ticks: int, dropped: Counter[str]
) -> list[Part]:
    """The parts of a track that ends at a tick; `ticks` are a quarter note."""
    parts = []
    for channel, voice in voices.items():
        if not voice.notes:
            continue
        notes = []
        last_onset = voice.notes[-1][0]
        following = last = end if end > last_onset else last_onset + ticks
        for place in reversed(range(len(voice.notes))):
            onset, pitch, off, _ = voice.notes[place]
            if onset < last:
                following, last = last, onset
            if off is None:  # it ends with the next onset or the track
                dropped[NO_END] += 1
                off = following
            notes.append(Note(pitch, onset / ticks, off / ticks))
        programs = Counter(note[3] for note in voice.notes)
        program = programs.most_common(1)[0][0]
        parts.append(Part(name, tuple(reversed(notes)), program, drums=channel == DRUM_CHANNEL))
    return parts


def _text(name: str) -> str:
    """A name that mido read as Latin-1; most programs write UTF-8."""
    try:
        name = name.encode("latin1").decode("utf-8")
    except UnicodeError:
        pass
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())


def _scale_of(key: str) -> int:
    """mido's names of keys, such as "Bb" or "F#m" -> semitones from C to the major tonic."""
    minor = key.endswith("m")
    letter, accidental = key[0], key[1:].removesuffix("m")
    pitch = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[letter]
    pitch += {"": 0, "#": 1, "b": -1}[accidental]
    return (pitch + (3 if minor else 0)) % 12
