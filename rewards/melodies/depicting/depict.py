"""All that a report shows of a melody."""

from __future__ import annotations

from sequence_tutor.rewards.depiction import Depiction, NamedFile, Picture
from sequence_tutor.rewards.melodies.depicting import engraving
from sequence_tutor.rewards.melodies.depicting.broken_rules import Broken, broken_rules, remarks
from sequence_tutor.rewards.melodies.depicting.musicxml import musicxml
from sequence_tutor.rewards.melodies.depicting.note_names import note_names
from sequence_tutor.rewards.melodies.depicting.roll import piano_roll
from sequence_tutor.rewards.melodies.melody import Melody
from sequence_tutor.rewards.melodies.sound import lacks_fluidsynth, midi_bytes, wav_bytes
from sequence_tutor.rewards.melodies.spelling import read, spell

# Bars that are drawn and played: a minute or two, 2 MB of sound. Files have the whole melody.
SHOWN_BARS = 64
# Samples per second and seconds after the end, by synthesizer. The highest partial of plain tones
# is 3 kHz, which 8,000 samples a second hold, and they end at once.
SOUND = {"sine": (8_000, 0.1), "fluidsynth": (16_000, 1.0)}
MUSICXML = "application/vnd.recordare.musicxml+xml"


def depict(text: str) -> Depiction:
    """A piano roll, the engraved notes, the sound and the files of a melody, and the rules of
    profile `corrected` that it breaks. Raises ValueError for text that isn't a melody."""
    melody = read(text)
    steps, bar = len(melody.tokens), melody.time.bar
    broken = broken_rules(melody)
    lines = remarks(broken)
    shown = min(steps, SHOWN_BARS * bar)
    start = text if shown == steps else spell(melody.tokens[:shown], melody.time)
    if shown < steps:
        lines.append(f"pictures and sound end after {SHOWN_BARS} of {-(-steps // bar)} bars")
    said = _said(melody, shown, broken)
    pictures = [Picture(piano_roll(melody, shown, broken), f"Piano roll of {said}")]
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


def _said(melody: Melody, steps: int, broken: list[Broken]) -> str:
    """A picture of the first steps in words."""
    pitches = [pitch for start, pitch, _ in melody.notes if start < steps]
    names = note_names([pitch for _, pitch, _ in melody.notes])[: len(pitches)]
    bars = -(-steps // melody.time.bar)
    text = f"{_count(bars, 'bar')} of {melody.time.metre}: {_count(len(names), 'note')}"
    if names:
        text += f" from {names[pitches.index(min(pitches))]}"
        text += f" to {names[pitches.index(max(pitches))]}"
    marked = {one.note for one in broken if one.note is not None and one.note < len(names)}
    return text + (f"; notes that break a rule: {len(marked)}" if marked else "")


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"
