"""The components of melodies; importing this registers them: the nine rules, what else is paid by
the step, features of whole melodies (`features`), and bundles of rules and of features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sequence_tutor.rewards.melodies import corrected_rules as corrected
from sequence_tutor.rewards.melodies import given_rules
from sequence_tutor.rewards.melodies.chords import parse_chords
from sequence_tutor.rewards.melodies.features import FEATURES, LIEDER_BANDS, bands_of
from sequence_tutor.rewards.melodies.melody import Floats, Melodies, Melody
from sequence_tutor.rewards.melodies.rules import RULE_NAMES, RULES, Profile
from sequence_tutor.rewards.registry import bundle, component, unknown


@dataclass(frozen=True)
class Gathered:
    """B melodies, grouped by length and time."""

    size: int
    """Number of melodies B."""
    groups: list[tuple[np.ndarray, Melodies]]
    """For each length and time, int64 [n] places of its melodies among all B, and these."""

    def each(self, rule: Callable[[Melodies], Floats]) -> list[np.ndarray] | np.ndarray:
        """What a rule pays to each of the B melodies by the step."""
        if len(self.groups) == 1:
            return rule(self.groups[0][1])
        rewards = [np.empty(0)] * self.size
        for rows, batch in self.groups:
            for row, values in zip(rows, rule(batch), strict=True):
                rewards[row] = values
        return rewards


Paid = list[np.ndarray] | np.ndarray
EDGE = 1e-4  # how far outside of its band a feature still counts as inside, for rounding


def gather(melodies: Sequence[Melody]) -> Gathered:
    """Group whole melodies by their length and time."""
    kinds: dict[tuple[int, Any], list[int]] = {}
    for i, melody in enumerate(melodies):
        kinds.setdefault((len(melody.tokens), melody.time), []).append(i)
    groups = []
    for (length, time), rows in kinds.items():
        tokens = np.stack([melodies[i].tokens for i in rows])
        groups.append((np.array(rows, np.int64), Melodies(tokens, length, time)))
    return Gathered(len(melodies), groups)


def _only_corrected(profile: Profile = "corrected", **options: Any) -> None:
    if profile == "paper" and options:
        name = next(iter(options))
        raise ValueError(f"{name} is for profile 'corrected'; 'paper' is as it was published")


def _pay(melodies: Gathered, name: str, profile: Profile, **options: int) -> Paid:
    rule = RULES[profile][name]
    known = {} if profile == "paper" else options
    return melodies.each(lambda batch: rule(batch, **known))


@component("key", domain="melodies", steps=True)
def key(melodies: Gathered, profile: Profile = "corrected") -> Paid:
    """-1 for each note outside C major and A minor, in which all melodies are."""
    return _pay(melodies, "key", profile)


@component("tonic", domain="melodies", steps=True)
def tonic(melodies: Gathered, profile: Profile = "corrected") -> Paid:
    """+3 for a C or A at the start, up to +12 for those that sound in the last bar."""
    return _pay(melodies, "tonic", profile)


@component("repetition", domain="melodies", steps=True, check=_only_corrected)
def repetition(
    melodies: Gathered, profile: Profile = "corrected", most: int = corrected.MOST_REPEATED
) -> Paid:
    """-100 for each equal note in a row after the first `most`; two more are allowed where they are
    held or a rest comes between.

    most: equal notes in a row.
    """
    return _pay(melodies, "repetition", profile, most=most)


@component("autocorrelation", domain="melodies", steps=True)
def autocorrelation(melodies: Gathered, profile: Profile = "corrected") -> Paid:
    """Costs up to 9 at the end where pitches correlate with those 1 to 3 notes before."""
    return _pay(melodies, "autocorrelation", profile)


@component("motif", domain="melodies", steps=True, check=_only_corrected)
def motif(
    melodies: Gathered,
    profile: Profile = "corrected",
    fewest: int = corrected.MOTIF[0],
    most: int = corrected.MOTIF[1],
) -> Paid:
    """+3 and more for each two beats (of 3/4, each bar) of `fewest` to `most` different pitches.

    fewest: pitches of a motif. most: pitches of a motif.
    """
    return _pay(melodies, "motif", profile, fewest=fewest, most=most)


@component("repeated_motif", domain="melodies", steps=True, check=_only_corrected)
def repeated_motif(
    melodies: Gathered,
    profile: Profile = "corrected",
    fewest: int = corrected.MOTIF[0],
    most: int = corrected.MOTIF[1],
) -> Paid:
    """+4 and more for each motif, as in `motif`, that occurred before.

    fewest: pitches of a motif. most: pitches of a motif.
    """
    return _pay(melodies, "repeated_motif", profile, fewest=fewest, most=most)


@component("preferred_intervals", domain="melodies", steps=True)
def preferred_intervals(melodies: Gathered, profile: Profile = "corrected") -> Paid:
    """Pays thirds, fifths, steps and long notes; sevenths and jumps over an octave cost."""
    return _pay(melodies, "preferred_intervals", profile)


@component("leaps", domain="melodies", steps=True, check=_only_corrected)
def leaps(
    melodies: Gathered, profile: Profile = "corrected", widest: int = corrected.WIDEST_LEAP
) -> Paid:
    """+5 for each leap of a fifth or more that smaller intervals bring back, -5 for one that
    follows another in its direction, and for one of more than `widest` semitones.

    widest: semitones.
    """
    return _pay(melodies, "leaps", profile, widest=widest)


@component("unique_extremes", domain="melodies", steps=True, check=_only_corrected)
def unique_extremes(
    melodies: Gathered, profile: Profile = "corrected", widest: int = corrected.WIDEST_RANGE
) -> Paid:
    """+3 if the highest note occurs once and +3 if the lowest does, where they are at most `widest`
    semitones apart and not the end of a last leap.

    widest: semitones.
    """
    return _pay(melodies, "unique_extremes", profile, widest=widest)


@bundle("music_theory", domain="melodies")
def music_theory(
    profile: Profile = "corrected",
    weights: dict[str, float] | None = None,
    options: dict[str, dict[str, int]] | None = None,
) -> list[dict[str, Any]]:
    """All nine rules; a rule that `weights` doesn't name has weight 1. `options` are those of the
    rules, by rule, such as `{ leaps = { widest = 9 } }`."""
    for name in (*(weights or {}), *(options or {})):
        if name not in RULE_NAMES:
            raise ValueError(unknown("rule", name, RULE_NAMES))
    return [
        {"name": name, "profile": profile, "weight": (weights or {}).get(name, 1.0)}
        | (options or {}).get(name, {})
        for name in RULE_NAMES
    ]


@component("interval_limit", domain="melodies", steps=True, most=0.0)
def interval_limit(melodies: Gathered, most: int = 12) -> Paid:
    """-1 for each note that is further than `most` from the note before.

    most: semitones.
    """
    return melodies.each(lambda batch: given_rules.interval_limit(batch, most))


def _check_limits(lowest: str = "C3", highest: str = "B5") -> None:
    low, high = given_rules.pitch(lowest), given_rules.pitch(highest)
    if low > high:
        raise ValueError(f"lowest = {lowest!r} is above highest = {highest!r}")


@component(
    "pitch_limits",
    domain="melodies",
    steps=True,
    most=0.0,
    check=_check_limits,
    example='lowest = "C4", highest = "G5"',
)
def pitch_limits(melodies: Gathered, lowest: str = "C3", highest: str = "B5") -> Paid:
    """-1 for each note outside of a range, such as that of a voice or an instrument.

    lowest: a note, such as "C4". highest: a note.
    """
    low, high = given_rules.pitch(lowest), given_rules.pitch(highest)
    return melodies.each(lambda batch: given_rules.pitch_limits(batch, low, high))


def _check_motif(motif: str, transposed: bool = True, most: int = 4) -> None:
    given_rules.read_motif(motif)
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")


@component(
    "given_motif",
    domain="melodies",
    steps=True,
    least=0.0,
    check=_check_motif,
    example='motif = "C4-D4-E4---"',
)
def given_motif(melodies: Gathered, motif: str, transposed: bool = True, most: int = 4) -> Paid:
    """+1 each time that a motif of yours has been played, up to `most` times. Its rhythm must be
    the same; two occurrences don't overlap.

    motif: notes as in a melody's text. transposed: whether it may begin on any note. most: paid
    occurrences.
    """
    tokens = given_rules.read_motif(motif)
    return melodies.each(lambda batch: given_rules.given_motif(batch, tokens, transposed, most))


def _check_chords(chords: str) -> None:
    parse_chords(chords)


@component(
    "chord_tones",
    domain="melodies",
    steps=True,
    check=_check_chords,
    example='chords = "C | Am | F | G7"',
)
def chord_tones(melodies: Gathered, chords: str) -> Paid:
    """On each strong beat: +1 if a tone of the chord sounds there, -1 if another tone does. Strong
    beats are the first of a bar, and its middle where it has an even number of beats.

    chords: bars from the first one on, divided by |; after the last they begin again. Chords of one
    bar have equal parts of it.
    """
    bars = parse_chords(chords)
    return melodies.each(lambda batch: given_rules.chord_tones(batch, bars))


for _name, _feature in FEATURES.items():
    component(_name, domain="melodies", least=_feature.least, most=_feature.most)(_feature.measure)


@bundle("human_range", domain="melodies")
def human_range(
    corpus: str | None = None, low: float = 5.0, high: float = 95.0, only: list[str] | None = None
) -> list[dict[str, Any]]:
    """Each feature of melodies pays 1 where it lies between the `low`th and the `high`th percentile
    of real melodies. These are the lines of a text file `corpus` (.gz too); by default the songs
    that the prior `lieder` learned from. `only` names features; by default all are taken."""
    for name in only or ():
        if name not in FEATURES:
            raise ValueError(unknown("feature", name, FEATURES))
    if corpus is None and (low, high) != (5.0, 95.0):
        raise ValueError("low and high need a corpus; the shipped bands are those of 5 to 95")
    bands = LIEDER_BANDS if corpus is None else bands_of(corpus, low, high)
    return [
        {"name": name, "transform": {"type": "step", "low": low - EDGE, "high": high + EDGE}}
        for name, (low, high) in ((name, bands[name]) for name in only or FEATURES)
    ]
