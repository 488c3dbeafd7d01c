"""The interface between sequences as text and the tokens that networks read.

Generated tokens travel as `Episodes`; `decode` turns them into the text that rewards judge.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sequence_tutor.policies.encodings.vocabulary import Vocabulary
from sequence_tutor.policies.files.corpus import Corpus, read_corpus

if TYPE_CHECKING:
    from sequence_tutor.policies.encodings.constraint import Constraint, Rules


@dataclass(frozen=True)
class Episodes:
    """B generated episodes, in the order in which they were asked for."""

    tokens: np.ndarray
    """int16 [B,T] actions, zeros after the end."""
    lengths: np.ndarray
    """int32 [B] actions of each episode, the end token included."""
    log_probs: np.ndarray
    """float32 [B] log-probability of each episode under the policy that drew it, nats."""


@dataclass(frozen=True)
class Starts:
    """How B episodes begin, if they don't begin freely."""

    actions: Sequence[np.ndarray]
    """int [T] the first actions of each episode, which aren't drawn; there may be none."""
    constraint: Constraint | None = None
    """What may follow first actions, beyond what the encoding allows; None for anything."""


FOLDER = "/"
# The key of [generate] that says which bars of a melody are a gap.
BARS = "bars"


class Encoding(ABC):
    """Turns a sequence (a string) into tokens and back.

    `max_length` is the longest episode in actions, the end token included; an episode that
    reaches it is over (terminal) even without an end token.
    """

    name: str
    # name endings of files that hold only this encoding's data; FOLDER for a folder of files
    own_files: tuple[str, ...] = ()
    # default of `max_length`, in actions
    usual_length: int
    # whether the text of a sequence is made of the texts of its actions, one after the other
    joins_texts: bool = True
    # text that every sequence begins with and no action writes
    header: str = ""
    # keyword arguments that `__init__`, `fit` and `read` take beyond those below
    option_names: tuple[str, ...] = ()

    def __init__(self, vocabulary: Vocabulary, max_length: int) -> None:
        self.vocabulary = vocabulary
        self.max_length = max_length

    @property
    def options(self) -> dict[str, Any]:
        """The values of `option_names` that aren't the defaults, as JSON values."""
        return {}

    @property
    def constraint(self) -> Constraint | None:
        """What the policy may do at each step; None where it may do anything."""
        return None

    @property
    def grammar(self) -> Constraint | None:
        """What may follow the beginning of a text, so that it becomes a whole one; None where that
        isn't known."""
        return None

    def read_parts(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Given parts, by their keys of [generate], as texts with the header of the encoding, where
        they may be names of files that hold them. Raises ValueError that begins with the key.

        By default they are texts, and `bars`, which only melodies have, are left out.
        """
        found = {key: value for key, value in given.items() if key != BARS}
        return found | {"start": with_header(self, found["start"])} if "start" in found else found

    def step_rules(self, text: str) -> Rules:
        """What may stand at each step of an episode, from a text that says it. Raises ValueError,
        by default always."""
        raise ValueError(f"encoding {self.name!r} has no steps that could be given one by one")

    @classmethod
    @abstractmethod
    def fit(cls, corpus: Iterable[str], max_length: int | None = None) -> Encoding:
        """Return an encoding whose vocabulary covers the corpus."""

    @classmethod
    def read(
        cls,
        path: Path,
        check: Callable[[str], str | None],
        max_length: int | None = None,
        column: str | None = None,
    ) -> Corpus:
        """Read a file's sequences for training; see `read_corpus`. Raises CorpusError.

        An encoding whose data comes in another kind of file reads that too, and may cut sequences
        longer than `max_length` into pieces.
        """
        return read_corpus(path, check, column)

    @abstractmethod
    def encode(self, sequence: str) -> np.ndarray:
        """Return int16 [T] actions of a whole episode. Raises ValueError if no actions spell it."""

    @abstractmethod
    def decode(self, tokens: np.ndarray) -> str:
        """Return the sequence that actions [T] spell."""


def with_header(encoding: Encoding, text: str) -> str:
    """A given text with the header of the encoding, whether it is given with it or without."""
    return text if text.startswith(encoding.header) else encoding.header + text


def action_texts(encoding: Encoding, tokens: np.ndarray, length: int) -> list[str]:
    """Texts of one episode's actions without the last end token: int16 [T] -> T texts or T - 1. An
    end token that is followed by a given part has no text."""
    ids, end = tokens[:length].tolist(), encoding.vocabulary.end_id
    if ids and ids[-1] == end:
        ids.pop()
    return ["" if i == end else encoding.vocabulary.tokens[i] for i in ids]


def pad(sequences: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Stack episodes: int16 tokens [B,T] (zeros after the end), int32 lengths [B]."""
    lengths = np.fromiter((len(s) for s in sequences), dtype=np.int32, count=len(sequences))
    tokens = np.zeros((len(sequences), int(lengths.max(initial=1))), dtype=np.int16)
    for row, sequence in zip(tokens, sequences, strict=True):
        row[: len(sequence)] = sequence
    return tokens, lengths
