"""The domain of melodies, as `distributed` uses it: identity, metrics and rendering."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sequence_tutor.rewards.base import Domain, Identity
from sequence_tutor.rewards.buckets import Grouping
from sequence_tutor.rewards.depiction import Depiction
from sequence_tutor.rewards.given_parts import GivenParts, Start
from sequence_tutor.rewards.melodies import breeding
from sequence_tutor.rewards.melodies.given_steps import (
    GivenSteps,
    contour_of,
    melody_to_fill,
    rhythm_of,
)
from sequence_tutor.rewards.melodies.melody import FIRST_PITCH, Melody
from sequence_tutor.rewards.melodies.rule_metrics import (
    BY_PAPER_RULES,
    OF_THE_PAPER,
    PAPER_COLUMNS,
)
from sequence_tutor.rewards.melodies.spelling import TEXTS, identify, parse, tokens_of


class MelodyDomain(Domain):
    """See `Domain`. A melody has one spelling, which is its key."""

    name, encoding = "melodies", "melody"
    example, cheapest = "C4-------", "stay_in_key"
    isolated = False  # plain Python
    breeds = True
    shows_plausible = True
    groupings: ClassVar[Mapping[str, Grouping]] = {
        "incipit": Grouping("the same first two bars, in whatever key")
    }
    published, of_papers = PAPER_COLUMNS, OF_THE_PAPER
    row_notes: ClassVar[Mapping[str, str]] = dict.fromkeys(OF_THE_PAPER | BY_PAPER_RULES, "paper")
    parts: ClassVar[Mapping[str, Callable[[Any], GivenParts]]] = {
        "start": Start,
        "fill": melody_to_fill,
        "rhythm": rhythm_of,
        "contour": contour_of,
    }

    def __init__(self, given: Mapping[str, Any] | None = None) -> None:
        self._given = dict(given or {})

    def keeping(self, given: Mapping[str, Any]) -> MelodyDomain:
        """The domain whose children have the steps that are given; those that can't are None."""
        return MelodyDomain(given)

    def load_components(self) -> None:
        """Register the nine rules, what else is paid by the step, features and taste."""
        import_module("sequence_tutor.rewards.melodies.components")
        import_module("sequence_tutor.rewards.melodies.taste")

    def identify(self, sequence: str) -> Identity:
        """The text itself, or why it isn't a melody."""
        return identify(sequence)

    def split(self, sequence: str) -> list[str]:
        """The tokens of a melody; the characters of a text that isn't one."""
        try:
            return tokens_of(sequence)
        except ValueError:
            return list(sequence)

    def read(self, sequence: str, tokens: Sequence[str]) -> Melody | None:
        """The melody; None for a text that isn't one of usual length."""
        return None if identify(sequence).key is None else parse(sequence)

    def gather(self, things: Sequence[Melody]) -> Any:
        """The melodies grouped by length and time, as the rules take them."""
        from sequence_tutor.rewards.melodies.components import gather

        return gather(things)

    def group(self, key: str, kind: str) -> str:
        """The tokens of the first two bars, with the interval to the first note, in semitones, for
        each note."""
        melody = parse(key)
        assert melody is not None
        start = melody.tokens[: 2 * melody.time.bar].tolist()
        first = next((token for token in start if token >= FIRST_PITCH), 0)
        return " ".join(
            f"{token - first:+d}" if token >= FIRST_PITCH else TEXTS[token] for token in start
        )

    def mutate(self, sequence: str, random: np.random.Generator) -> str | None:
        """The melody transposed, or with one bar changed, see `breeding`."""
        return breeding.mutate(sequence, random, self._steps)

    def cross(self, first: str, second: str, random: np.random.Generator) -> str | None:
        """The start of one melody and the end of another, see `breeding`."""
        return breeding.cross(first, second, random, self._steps)

    @cached_property
    def _steps(self) -> GivenSteps | None:
        """What children keep. Raises ValueError for parts that can't be."""
        parts = self.given_parts(**self._given) if self._given else None
        return parts if isinstance(parts, GivenSteps) else None

    def metrics(
        self, sequences: Sequence[str], training: Collection[str] | None = None
    ) -> dict[str, float]:
        """The share of valid melodies, and `melody_metrics` of these, which must have one length
        and time.

        Raises ValueError for melodies of several: their metrics can't be compared.
        """
        from sequence_tutor.rewards.melodies.metrics import melody_metrics  # it takes SciPy

        melodies = [m for m in map(parse, sequences) if m is not None]
        numbers = {"valid": len(melodies) / len(sequences) if sequences else float("nan")}
        if not melodies:
            return numbers
        times = sorted({m.time.header or "4/4:" for m in melodies})
        if len(times) > 1:
            raise ValueError(f"melodies in {' and '.join(times)} can't share a table of metrics")
        lengths = sorted({len(m.tokens) for m in melodies})
        if len(lengths) > 1:
            raise ValueError(
                f"melodies of {lengths[0]} to {lengths[-1]} steps can't share a table of metrics; "
                "cut them to one length"
            )
        known = None
        if training is not None:
            # sorted, since the order of a set differs between processes and metrics must not
            known = [m.tokens for m in map(parse, sorted(training)) if m is not None]
        tokens = np.stack([m.tokens for m in melodies])
        return numbers | melody_metrics(tokens, known, melodies[0].time)

    def depict(self, sequence: str) -> Depiction:
        """A piano roll that marks broken rules, engraved notes, sound, MIDI and MusicXML."""
        from sequence_tutor.rewards.melodies.depicting.depict import depict  # it takes pretty_midi

        return depict(sequence)

    def render(self, sequences: Sequence[str], directory: Path, **style: Any) -> str:
        """Write MIDI, WAV, MusicXML, ABC and engraved notes of each melody, and a picture of all
        piano rolls. The sound is FluidSynth's where it is installed, else plain tones; notes are
        engraved where verovio is installed. style: key, tempo and instrument, see `Style`."""
        from sequence_tutor.rewards.melodies.depicting.engraving import lacks_verovio
        from sequence_tutor.rewards.melodies.rendering import render
        from sequence_tutor.rewards.melodies.sound import lacks_fluidsynth
        from sequence_tutor.rewards.melodies.style import style_of

        played = style_of(style)
        melodies = [s for s in sequences if parse(s) is not None]
        if not melodies:
            return "no melody to render"
        missing = lacks_fluidsynth()
        render(melodies, directory, "sine" if missing else "fluidsynth", played)
        sound = f"plain tones, since {missing}" if missing else "by FluidSynth"
        without = lacks_verovio()
        notes = "" if without else ", notes (SVG)"
        text = (
            f"{len(melodies)} melodies are in {directory}: MIDI, MusicXML, ABC{notes}, "
            f"piano rolls and WAV ({sound})"
        )
        return f"{text}; {without}" if without else text
