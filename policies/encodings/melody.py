"""The encoding of melodies: tokens as in `melody_tokens`, read from files of music or text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sequence_tutor.policies.encodings.base import BARS, FOLDER, Encoding, with_header
from sequence_tutor.policies.encodings.melody_steps import MelodySteps, signs_of, with_gaps
from sequence_tutor.policies.encodings.vocabulary import Vocabulary
from sequence_tutor.policies.files.corpus import Corpus
from sequence_tutor.policies.melody_time import Time
from sequence_tutor.policies.melody_tokens import TOKENS, tokenize
from sequence_tutor.policies.pieces.suffixes import SUFFIXES


class MelodyEncoding(Encoding):
    """Melody <-> int16 tokens, one for each step. `max_length` is the length of every episode, in
    steps; metre and grid are those of all melodies, see `melody_time`."""

    name = "melody"
    own_files = (*SUFFIXES, ".zip", FOLDER)
    usual_length = 32
    option_names = ("metre", "grid")

    def __init__(
        self, vocabulary: Vocabulary, max_length: int, metre: str = "4/4", grid: int = 4
    ) -> None:
        super().__init__(vocabulary, max_length)
        self.time = Time.parse(metre, grid)
        self.header = self.time.header

    @property
    def options(self) -> dict[str, Any]:
        """Metre and grid; absent from a prior's metadata where they are 4/4 and 4."""
        return {"metre": self.time.metre, "grid": self.time.grid} if self.header else {}

    @classmethod
    def fit(
        cls,
        corpus: Iterable[str],
        max_length: int | None = None,
        metre: str = "4/4",
        grid: int = 4,
        bars: int = 2,
    ) -> MelodyEncoding:
        """Return the encoding with the fixed vocabulary, which doesn't depend on the corpus; `bars`
        say the length where `max_length` doesn't."""
        vocabulary = Vocabulary(TOKENS, end_id=None)
        return cls(vocabulary, max_length or bars * Time.parse(metre, grid).bar, metre, grid)

    @classmethod
    def read(
        cls,
        path: Path,
        check: Callable[[str], str | None],
        max_length: int | None = None,
        column: str | None = None,
        metre: str = "4/4",
        grid: int = 4,
        track: str | None = None,
        upbeat: str = "auto",
    ) -> Corpus:
        """Read windows of `max_length` steps from a folder, a .zip or a file of music, or lines of
        text. track: name or number of the part that has the melody, where files have several.
        upbeat: "auto" to estimate it where a file doesn't tell it, or "none". Raises ValueError."""
        from sequence_tutor.policies.pieces.corpus import Request, read_music_corpus  # slow import
        from sequence_tutor.policies.pieces.files import holds_music

        if upbeat not in ("auto", "none"):
            raise ValueError(f"--upbeat is auto or none, not {upbeat!r}")
        if holds_music(path):
            time = Time.parse(metre, grid)
            request = Request(max_length or 2 * time.bar, time, track, upbeat == "auto")
            return read_music_corpus(path, check, request)
        return super().read(path, check, max_length, column)

    def read_parts(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Texts as they are, and melodies of files of music: `start` as far as its last note, and
        whole bars of the others, see `read_start` and `read_whole`. `bars` of `fill` are gaps."""
        from sequence_tutor.policies.pieces.start import (  # slow import
            is_start_file,
            read_start,
            read_whole,
        )

        found = dict(given)
        bars = found.pop(BARS, None)
        for key, text in found.items():
            if not isinstance(text, str):
                continue
            try:
                if is_start_file(text):
                    read = read_start if key == "start" else read_whole
                    text = read(Path(text), self.time)
                steps = self.time.without_header(with_header(self, text))
                if key == "fill" and bars is not None:
                    steps = "".join(with_gaps(signs_of(steps), str(bars), self.time.bar))
                found[key] = self.header + steps
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from error
        return found

    def step_rules(self, text: str) -> MelodySteps:
        """See `melody_steps`."""
        return MelodySteps(signs_of(self.time.without_header(text)), self.vocabulary)

    def encode(self, sequence: str) -> np.ndarray:
        """Return int16 [T]. Raises ValueError naming the first character that isn't a token's, or
        where the header isn't that of this time."""
        tokens = tokenize(self.time.without_header(sequence))
        return np.array(self.vocabulary.encode(tokens, sequence), dtype=np.int16)

    def decode(self, tokens: np.ndarray) -> str:
        return self.header + "".join(self.vocabulary.decode(tokens.tolist()))
