"""Piano rolls as a PNG: time from left to right, pitch upwards, one melody below the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from sequence_tutor.rewards.melodies.melody import C_MAJOR, LOWEST
from sequence_tutor.rewards.melodies.notes import PITCHES
from sequence_tutor.rewards.melodies.spelling import read
from sequence_tutor.rewards.melodies.time import Time

# All sizes are in pixels.
KEY = 6  # height of one pitch
# Width of a step: between NARROWEST and WIDEST, so that the longest melody is ROOM wide at most.
WIDEST, NARROWEST, ROOM = 20, 2, 1280
# Margins, the space for a title and for bar numbers, and the gap below each roll.
LEFT, RIGHT, TITLE, BOTTOM, GAP = 34, 12, 22, 16, 14

PAPER, IN_KEY, BEAT, BAR_LINE, OCTAVE = "#ffffff", "#eef3f8", "#d5dbe2", "#7b8794", "#b4bec9"
INK, NOTE, FOREIGN = "#1f2933", "#2563a8", "#d9541e"


def write_piano_roll(
    melodies: str | Sequence[str], path: Path, labels: Sequence[str] | None = None
) -> None:
    """Draw one melody or several, each under its label, by default "melody 1", ...

    Rows of C major are shaded; notes outside it are orange. Thin lines are beats, thick ones
    bars, numbered. Raises ValueError for text that isn't a melody and for no melody.
    """
    texts = [melodies] if isinstance(melodies, str) else list(melodies)
    if not texts:
        raise ValueError("there is no melody to draw")
    names = labels or [f"melody {i}" for i in range(1, len(texts) + 1)]
    rows = [read(text) for text in texts]
    longest = max(len(melody.tokens) for melody in rows)
    step = max(NARROWEST, min(WIDEST, ROOM // longest))
    height = TITLE + PITCHES * KEY + BOTTOM + GAP
    size = (LEFT + longest * step + RIGHT, height * len(rows))
    image = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(image)
    for i, (melody, name) in enumerate(zip(rows, names, strict=True)):
        _grid(draw, i * height + TITLE, len(melody.tokens), step, melody.time)
        for start, pitch, length in melody.notes:
            row = PITCHES - 1 - (pitch - LOWEST)
            x, y = LEFT + start * step, i * height + TITLE + row * KEY
            box = (x + 1, y, x + max(length * step - 2, 1), y + KEY - 1)
            draw.rectangle(box, fill=NOTE if pitch % 12 in C_MAJOR else FOREIGN)
        draw.text((LEFT, i * height + 3), name, fill=INK, font=ImageFont.load_default(13))
    image.save(path, format="PNG")


def _grid(draw: ImageDraw.ImageDraw, top: int, steps: int, step: int, time: Time) -> None:
    """Draw rows, lines and labels of one roll whose upper edge is at `top`."""
    font = ImageFont.load_default(11)
    right, bottom = LEFT + steps * step, top + PITCHES * KEY
    for pitch in range(PITCHES):
        y = top + (PITCHES - 1 - pitch) * KEY
        if pitch % 12 in C_MAJOR:
            draw.rectangle((LEFT, y, right, y + KEY - 1), fill=IN_KEY)
    for at in range(0, steps + 1, time.beat):
        bar = at % time.bar == 0
        x = LEFT + at * step
        draw.line((x, top, x, bottom), fill=BAR_LINE if bar else BEAT)
        if bar and at < steps:
            draw.text((x + 2, bottom + 1), str(at // time.bar + 1), fill=INK, font=font)
    for octave in range(PITCHES // 12):
        y = top + (PITCHES - octave * 12) * KEY
        draw.line((LEFT, y, right, y), fill=OCTAVE)
        draw.text((LEFT - 5, y), f"C{octave + 3}", fill=INK, font=font, anchor="rs")
    draw.line((right, top, right, bottom), fill=BAR_LINE)
