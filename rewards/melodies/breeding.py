"""Children of melodies: small changes of one, and the start of one with the end of another.

For the tokens, int64 [T], see `melody`. A melody's only spelling is its key.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sequence_tutor.rewards.melodies.given_steps import GivenSteps
from sequence_tutor.rewards.melodies.melody import FIRST_PITCH, HOLD, OFF, TOKENS, Ints, Melody
from sequence_tutor.rewards.melodies.spelling import identify, parse, spell

TRIES = 10
MOST_CHANGES = 3  # steps of a bar that one change varies
WIDEST = 4  # semitones that a varied note moves, a major third

Random = np.random.Generator


def mutate(text: str, random: Random, given: GivenSteps | None = None) -> str | None:
    """The melody transposed, with one bar varied, or with one bar in the place of another, of the
    same length; None where ten tries changed nothing or the text isn't a melody. What is given
    stays."""
    melody = _read(text)
    if melody is None:
        return None
    for _ in range(TRIES):
        change = CHANGES[int(random.random() * len(CHANGES))]
        tokens = _keeping(given, change(melody, random), melody.tokens)
        child = text if tokens is None else spell(tokens, melody.time)
        if child != text:
            return child
    return None


def cross(first: str, second: str, random: Random, given: GivenSteps | None = None) -> str | None:
    """The bars of one melody up to some place, then those of the other after that place, which
    decides the length. The place is between two bars, or between two beats where the melodies
    have one bar or two, which leave no choice. None where ten tries gave only one of the two, or a
    text isn't a melody, or theirs differ in time. What is given stays."""
    one, other = _read(first), _read(second)
    if one is None or other is None or one.time != other.time:
        return None
    shortest, time = min(len(one.tokens), len(other.tokens)), one.time
    unit = time.bar if shortest > 2 * time.bar else time.beat
    places = range(unit, shortest, unit)
    for _ in range(TRIES if places else 0):
        place = places[int(random.random() * len(places))]
        joined = np.concatenate([one.tokens[:place], other.tokens[place:]])
        tokens = _keeping(given, joined, one.tokens)
        child = first if tokens is None else spell(tokens, time)
        if child not in (first, second):
            return child
    return None


def transpose(melody: Melody, random: Random) -> Ints:
    """All notes higher or lower by the same interval, each interval that keeps them in range as
    likely."""
    tokens = melody.tokens
    notes = tokens[tokens >= FIRST_PITCH]
    if not len(notes):
        return tokens
    shifts = np.arange(FIRST_PITCH - notes.min(), TOKENS - notes.max())
    shifts = shifts[shifts != 0]
    if not len(shifts):
        return tokens
    return np.where(tokens >= FIRST_PITCH, tokens + random.choice(shifts), tokens)


def vary_bar(melody: Melody, random: Random) -> Ints:
    """One to three steps of a bar changed: a note moves by up to four semitones or is held over, a
    hold or note off becomes a note near the last one, or the other of the two."""
    child = melody.tokens.copy()
    start = _a_bar(melody, random)
    end = min(start + melody.time.bar, len(child))
    for step in random.integers(start, end, size=int(random.integers(1, MOST_CHANGES + 1))):
        before = child[:step][child[:step] >= FIRST_PITCH]
        near = int(before[-1]) if len(before) else int(random.integers(FIRST_PITCH, TOKENS))
        keep_note = random.random() < 0.75
        if child[step] >= FIRST_PITCH:
            child[step] = _near(int(child[step]), random) if keep_note else HOLD
        elif keep_note:
            child[step] = _near(near, random)
        else:
            child[step] = OFF if child[step] == HOLD else HOLD
    return child


def repeat_bar(melody: Melody, random: Random) -> Ints:
    """A bar in the place of another; of the last one, if it is shorter, the start."""
    source, target = _a_bar(melody, random), _a_bar(melody, random)
    tokens = melody.tokens
    length = min(melody.time.bar, len(tokens) - source, len(tokens) - target)
    child = tokens.copy()
    child[target : target + length] = tokens[source : source + length]
    return child


CHANGES: tuple[Callable[[Melody, Random], Ints], ...] = transpose, vary_bar, repeat_bar


def _keeping(given: GivenSteps | None, child: Ints, parent: Ints) -> Ints | None:
    """The child with what is given; None where it can't have that."""
    return child if given is None else given.put_into(child, parent)


def _read(text: str) -> Melody | None:
    return None if identify(text).key is None else parse(text)


def _a_bar(melody: Melody, random: Random) -> int:
    """The first step of a bar, the last of which may be shorter."""
    bar = melody.time.bar
    return int(random.integers(-(-len(melody.tokens) // bar))) * bar


def _near(note: int, random: Random) -> int:
    """Another note at most `WIDEST` semitones away, in range."""
    notes = range(max(FIRST_PITCH, note - WIDEST), min(TOKENS, note + WIDEST + 1))
    others = [other for other in notes if other != note]
    return others[int(random.random() * len(others))]
