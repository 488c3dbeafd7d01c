"""A piano roll as SVG: time to the right, pitch upwards, some bars a line.

Lines and letters have the color of the page's text. A note is `<g class="note">`: blue and full, or
orange, hollow and with a wedge above it where it breaks a rule; then `data-rule` names the rules.
Its `<title>` says what it is and what it breaks. Notes are in their order; one that goes over the
end of a line is drawn twice, in one group. A cross, `<g class="rest">`, is a rest that breaks one.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from sequence_tutor.rewards.melodies.depicting.broken_rules import WHOLE, Broken, readable
from sequence_tutor.rewards.melodies.depicting.note_names import note_names
from sequence_tutor.rewards.melodies.melody import C_MAJOR, LOWEST, A, C, Melody
from sequence_tutor.rewards.melodies.notes import PITCHES

# Lengths are units of the picture. A report draws it about 340 to 720 pixels wide.
WIDTH = 480
LEFT, RIGHT = 38, 4  # margins; pitch names are at the left
PLOT = WIDTH - LEFT - RIGHT
KEY = 7  # height of a pitch
ABOVE, BELOW = 9, 20  # a line's room above, for a wedge; below, for bar numbers and rests
LETTERS = 13  # height of letters: 9 pixels on a telephone
BARS_A_LINE = (1, 2, 4)  # the first that holds the melody, else the last
NARROWEST = 12  # pitches shown at least, so that a flat melody looks flat
OUTLINE = 'stroke-width="1.5"'
NOTE, BROKEN = "#2f7fd1", "#d9541e"  # each at least 3.5 to 1 on white and on black


def piano_roll(melody: Melody, steps: int, broken: Sequence[Broken]) -> str:
    """The first steps of a melody, with what it breaks."""
    return _Roll(melody, steps, broken).svg()


class _Roll:
    def __init__(self, melody: Melody, steps: int, broken: Sequence[Broken]) -> None:
        self.bar, self.beat = melody.time.bar, melody.time.beat
        notes = [note for note in melody.notes if note[0] < steps]
        self.start = [start for start, _, _ in notes]
        self.pitch = [pitch - LOWEST for _, pitch, _ in notes]
        self.end = [min(start + length, steps) for start, _, length in notes]
        self.names = note_names([pitch for _, pitch, _ in melody.notes])[: len(notes)]
        self.steps = steps
        bars = -(-steps // self.bar)
        self.line = self.bar * next((n for n in BARS_A_LINE if n >= bars), BARS_A_LINE[-1])
        self.step = PLOT / self.line
        self.lowest, self.highest = _range(self.pitch)
        self.height = (self.highest - self.lowest + 1) * KEY
        self.lines = -(-steps // self.line)
        self.of_note: dict[int, list[Broken]] = {}
        self.rests: dict[int, list[Broken]] = {}
        for one in broken:
            if one.step < steps and one.rule != WHOLE:
                to, place = (self.rests, one.step) if one.note is None else (self.of_note, one.note)
                to.setdefault(place, []).append(one)

    def svg(self) -> str:
        high = self.lines * (ABOVE + self.height + BELOW)
        parts = [self._grid(top) for top in range(self.lines)]
        parts += [f'<g fill="{NOTE}">', *map(self._note, range(len(self.start)))]
        parts += [*(self._rest(step, rules) for step, rules in self.rests.items()), "</g>"]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {high}" '
            f'font-family="system-ui, sans-serif" font-size="{LETTERS}">{"".join(parts)}</svg>'
        )

    def _x(self, step: int) -> float:
        """The left edge of a step, counted from the start of its line."""
        return LEFT + step * self.step

    def _y(self, line: int, pitch: int) -> int:
        """The upper edge of a pitch in a line."""
        top = line * (ABOVE + self.height + BELOW) + ABOVE
        return top + (self.highest - pitch) * KEY

    def _grid(self, line: int) -> str:
        first, last = line * self.line, min((line + 1) * self.line, self.steps)
        top, right = self._y(line, self.highest), _short(self._x(last - first))
        bottom = top + self.height
        pitches = range(self.lowest, self.highest + 1)
        shaded = [self._y(line, p) for p in pitches if p % 12 not in C_MAJOR]
        tonics = [(p, self._y(line, p) + KEY / 2) for p in pitches if p % 12 in (C, A)]
        marks = [(s, _short(self._x(s - first))) for s in range(first, last, self.beat)]
        bars = [(s, x) for s, x in marks if s % self.bar == 0]
        beats = "".join(f"M{x} {top}V{bottom}" for s, x in marks if s % self.bar)
        borders = "".join(f"M{x} {top}V{bottom}" for _, x in bars) + f"M{right} {top}V{bottom}"
        lines = "".join(f"M{LEFT} {y}H{right}" for _, y in tonics)
        keys = "".join(f"M{LEFT} {y}H{right}v{KEY}H{LEFT}z" for y in shaded)
        letters = "".join(
            f'<text x="{LEFT - 5}" y="{y + 4.5}" text-anchor="end">{"CA"[p % 12 == A]}'
            f"{p // 12 + 3}</text>"
            for p, y in tonics
        ) + "".join(
            f'<text x="{x + 2:g}" y="{bottom + 14}">{s // self.bar + 1}</text>' for s, x in bars
        )
        return (
            f'<path d="{keys}" fill="currentColor" fill-opacity=".07"/>'
            '<g stroke="currentColor" fill="none">'
            f'<path d="{beats}" stroke-opacity=".14"/>'
            f'<path d="{lines}" stroke-opacity=".3" stroke-dasharray="2 3"/>'
            f'<path d="{borders}" stroke-opacity=".55"/></g>'
            f'<g fill="currentColor" fill-opacity=".75">{letters}</g>'
        )

    def _note(self, i: int) -> str:
        broken = self.of_note.get(i, [])
        title = f"{self.names[i]}, bar {self.start[i] // self.bar + 1}"
        boxes, at = [], self.start[i]
        while at < self.end[i]:
            line, place = divmod(at, self.line)
            end = min(self.end[i], (line + 1) * self.line)
            x, y = self._x(place), self._y(line, self.pitch[i])
            width = (end - at) * self.step
            if broken and at == self.start[i]:
                boxes.append(_wedge(x + 0.75, y))
            boxes.append(_box(x, y, width, hollow=bool(broken)))
            at = end
        return _group("note", title, broken, boxes)

    def _rest(self, step: int, broken: Sequence[Broken]) -> str:
        """A cross under a step of a rest."""
        line, place = divmod(step, self.line)
        x = _short(self._x(place) + self.step / 2 - 3)
        y = self._y(line, self.lowest) + KEY + 3
        cross = f'<path d="M{x} {y}l6 6m0 -6l-6 6"/>'
        return _group("rest", f"Rest, bar {step // self.bar + 1}", broken, [cross])


def _group(kind: str, title: str, broken: Sequence[Broken], shapes: Sequence[str]) -> str:
    rules = ""
    for one in broken:
        title += f". {readable(one.rule).capitalize()}: {one.words}"
    if broken:
        names = " ".join(dict.fromkeys(one.rule for one in broken))
        rules = f' data-rule={quoteattr(names)} fill="{BROKEN}" stroke="{BROKEN}" {OUTLINE}'
    return f'<g class="{kind}"{rules}><title>{escape(title)}</title>{"".join(shapes)}</g>'


def _box(x: float, y: int, width: float, hollow: bool) -> str:
    """A note; a hollow one is smaller, since its outline is as wide again."""
    inset, look = (1.25, ' fill-opacity=".2"') if hollow else (0.5, "")
    return (
        f'<rect x="{_short(x + inset)}" y="{y + inset - 0.5:g}" '
        f'width="{_short(width - 2 * inset)}" height="{KEY + 1 - 2 * inset:g}" rx="1.5"{look}/>'
    )


def _wedge(x: float, y: int) -> str:
    """A mark that points at the start of a note."""
    return f'<path d="M{_short(x)} {y - 7}h6l-3 5z" stroke="none"/>'


def _range(pitches: Sequence[int]) -> tuple[int, int]:
    """The lowest and highest pitch to show: a tone beyond the melody's, at least `NARROWEST`."""
    lowest = max(min(pitches, default=12) - 2, 0)
    highest = min(max(pitches, default=24) + 2, PITCHES - 1)
    lacking = max(NARROWEST - (highest - lowest + 1), 0)
    lowest = max(lowest - lacking // 2, 0)
    return lowest, min(max(highest, lowest + NARROWEST - 1), PITCHES - 1)


def _short(number: float) -> float | int:
    """With two decimals at most."""
    rounded = round(number, 2)
    return int(rounded) if rounded == int(rounded) else rounded
