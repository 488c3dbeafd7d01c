"""All that a report shows of a melody."""

from __future__ import annotations

from sequence_tutor.rewards.depiction import Depiction, NamedFile, Picture
from sequence_tutor.rewards.melodies.depicting import engraving
from sequence_tutor.rewards.melodies.depicting.broken_rules import Broken, broken_rules, remarks
from sequence_tutor.rewards.melodies.depicting.musicxml import musicxml
from sequence_tutor.rewards.melodies.depicting.note_names import note_names
from sequence_tutor.rewards.melodies.depicting.roll import piano_roll
from sequence_tutor.rewards.melodies.notes import STEPS_PER_BAR, Notes
from sequence_tutor.rewards.melodies.sound import lacks_fluidsynth, midi_bytes, notes_of, wav_bytes
from sequence_tutor.rewards.melodies.spelling import parse, spell

# Bars that are drawn and played: a minute or two, 2 MB of sound. Files have the whole melody.
SHOWN_BARS = 64
# Samples per second and seconds after the end, by synthesizer. The highest partial of plain tones
# is 3 kHz, which 8,000 samples a second hold, and they end at once.
SOUND = {"sine": (8_000, 0.1), "fluidsynth": (16_000, 1.0)}
MUSICXML = "application/vnd.recordare.musicxml+xml"


def depict(text: str) -> Depiction:
    """A piano roll, the engraved notes, the sound and the files of a melody, and the rules of
    profile `corrected` that it breaks. Raises ValueError for text that isn't a melody."""
    tokens = parse(text)
    if tokens is None:
        raise ValueError(f"{text[:60]!r} is not a melody")
    notes, steps = notes_of(text)
    broken = broken_rules(tokens)
    lines = remarks(broken)
    shown = min(steps, SHOWN_BARS * STEPS_PER_BAR)
    start = text if shown == steps else spell(tokens[:shown])
    if shown < steps:
        lines.append(f"pictures and sound end after {SHOWN_BARS} of {_bars(steps)} bars")
    said = _said(notes, shown, broken)
    pictures = [Picture(piano_roll(notes, shown, broken), f"Piano roll of {said}")]
    if missing := engraving.lacks_verovio():
        lines.append(missing)
    else:
        pictures.append(Picture(engraving.engrave(musicxml(start)), f"Notes of {said}", "Notes"))
    synthesizer = "sine" if lacks_fluidsynth() else "fluidsynth"
    rate, release_s = SOUND[synthesizer]
    return Depiction(
        pictures=tuple(pictures),
        remarks=tuple(lines),
        sound=wav_bytes(start, synthesizer, rate=rate, release_s=release_s),
        files=(
            NamedFile("melody.mid", "audio/midi", midi_bytes(text)),
            NamedFile("melody.musicxml", MUSICXML, musicxml(text).encode()),
        ),
    )


def _said(notes: Notes, steps: int, broken: list[Broken]) -> str:
    """A picture in words."""
    names = note_names(notes)[: int((notes.start < steps).sum())]
    text = _count(_bars(steps), "bar") + ": " + _count(len(names), "note")
    if names:
        order = notes.pitch[: len(names)]
        text += f" from {names[int(order.argmin())]} to {names[int(order.argmax())]}"
    marked = {one.note for one in broken if one.note is not None and one.note < len(names)}
    return text + (f"; notes that break a rule: {len(marked)}" if marked else "")


def _bars(steps: int) -> int:
    return -(-steps // STEPS_PER_BAR)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"
