"""Which notes of a melody break which of the nine rules, and how a musician would say it.

A rule is broken at a step where its reward is negative. The step belongs to the note that sounds
there. What that means for each rule:

- `key`: a note outside C major, and so outside A minor.
- `repetition`: one equal note too many in a row. A note off after two others breaks it too: such a
  step belongs to no note. In profile `paper` so does a hold too many, which is the held note's.
- `autocorrelation`: it is about all pitches of the melody together, so it belongs to no note.
- `preferred_intervals`: a note 11 or more than 12 semitones from the note before.
- `leaps`: a note reached by a leap of 7 or more semitones in the direction of an earlier leap that
  isn't resolved; in profile `corrected` also by a leap of more than an octave.
- `tonic`, `motif`, `repeated_motif`, `unique_extremes`: they only pay, so nothing breaks them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sequence_tutor.rewards.melodies import paper_rules
from sequence_tutor.rewards.melodies.corrected_rules import WIDEST_LEAP
from sequence_tutor.rewards.melodies.melody import FIRST_PITCH, HOLD, Melodies, Melody
from sequence_tutor.rewards.melodies.rules import RULES, Profile

WHOLE = "autocorrelation"  # the rule about the whole melody
BARS_NAMED = 8  # a remark names this many bars

_OF_NOTES = {
    "key": "outside C major and A minor",
    "repetition": "repeated too often",
    "preferred_intervals": "after a jump of a major seventh or of more than an octave",
    "leaps": "reached by a leap before an earlier one is resolved, or of more than an octave",
}


@dataclass(frozen=True)
class Broken:
    """A rule that a melody breaks, at one place."""

    rule: str
    """One of `RULE_NAMES`."""
    step: int
    """Where; of the whole melody its last step."""
    note: int | None
    """The place of the note among the melody's notes; None for the whole melody or a rest."""
    words: str
    """Such as "leap of 9 semitones up before an earlier one is resolved"."""
    bar: int
    """The bar of the step, from 1."""


def broken_rules(melody: Melody, profile: Profile = "corrected") -> list[Broken]:
    """What a melody of at least 4 tokens breaks: by rule, then by step. A note breaks a rule
    once."""
    tokens, time = melody.tokens, melody.time
    melodies = Melodies(tokens[None], len(tokens), time)
    starts = [start for start, _, _ in melody.notes]
    found: dict[tuple[str, int], Broken] = {}
    for rule, reward in RULES[profile].items():
        for step in np.flatnonzero(reward(melodies)[0] < 0).tolist():
            note = None
            if rule != WHOLE and melodies.sounding[0, step]:
                note = int(np.searchsorted(starts, step, side="right")) - 1
            # rests have no number, so each of their steps stands for itself
            place = -1 if rule == WHOLE else len(tokens) + step if note is None else note
            words = _words(rule, melodies, step)
            broken = Broken(rule, step, note, words, step // time.bar + 1)
            found.setdefault((rule, place), broken)
    return list(found.values())


def remarks(broken: Sequence[Broken]) -> list[str]:
    """A line for each broken rule: how many notes break it, and in which bars."""
    lines = []
    for rule in dict.fromkeys(one.rule for one in broken):
        places = [one for one in broken if one.rule == rule]
        notes = [one for one in places if one.note is not None]
        rests = [one for one in places if one.note is None]
        if rule == WHOLE:
            parts = [f"the whole melody, since its {places[0].words}"]
        else:
            parts = [f"{_count(len(notes), 'note')} {_OF_NOTES[rule]} {_bars(notes)}"] * bool(notes)
            parts += [f"{_count(len(rests), 'rest')} begun again {_bars(rests)}"] * bool(rests)
        lines.append(f"{readable(rule)}: {', '.join(parts)}")
    return lines


def readable(rule: str) -> str:
    """The name of a rule in words."""
    return rule.replace("_", " ")


def _words(rule: str, melodies: Melodies, step: int) -> str:
    token, earlier = int(melodies.tokens[0, step]), int(melodies.pitch_before[0, step])
    interval = abs(token - earlier)
    if rule == "key":
        return _OF_NOTES[rule]
    if rule == "preferred_intervals":
        return f"jump of {interval} semitones"
    if rule == "leaps":
        leap = f"leap of {interval} semitones {'up' if token > earlier else 'down'}"
        return leap if interval > WIDEST_LEAP else f"{leap} before an earlier one is resolved"
    if rule == WHOLE:
        return "pitches correlate with those 1 to 3 notes before"
    if token >= FIRST_PITCH:
        count = int(paper_rules.repeats(melodies)[0][0, step]) + 1
        return f"the same note for the {count}th time"
    return "held for too long" if token == HOLD else "a note off after two others"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def _bars(places: Sequence[Broken]) -> str:
    """Their bars, counted from 1: "(bar 2)", "(bars 1, 2)"."""
    bars = sorted({one.bar for one in places})
    more = f" and {len(bars) - BARS_NAMED} more" if len(bars) > BARS_NAMED else ""
    named = ", ".join(str(bar) for bar in bars[:BARS_NAMED])
    return f"({'bar' if len(bars) == 1 else 'bars'} {named}{more})"
