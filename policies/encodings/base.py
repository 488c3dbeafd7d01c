"""The seam between text that people read and the tokens that networks read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sequence_tutor.policies.encodings.vocabulary import Vocabulary
from sequence_tutor.policies.files.corpus import Corpus, read_corpus


@dataclass(frozen=True)
class Episodes:
    """Generated episodes, in the order they were asked for.

    tokens int16 [B,T], zero after the end; lengths int32 [B] in actions, end token included;
    log_probs float32 [B], nats under the distribution they were really drawn from.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    log_probs: np.ndarray


FOLDER = "/"


class Encoding(ABC):
    """Turns a sequence (a string) into tokens and back.

    `max_length` is the longest episode in actions, the end token included; an episode that
    reaches it is over (terminal) even without an end token.
    """

    name: str
    # endings of files that hold nothing else but its data; FOLDER for a folder of files
    own_files: tuple[str, ...] = ()
    # what `max_length` is where the user doesn't say
    usual_length: int

    def __init__(self, vocabulary: Vocabulary, max_length: int) -> None:
        self.vocabulary = vocabulary
        self.max_length = max_length

    @classmethod
    @abstractmethod
    def fit(cls, corpus: Iterable[str], max_length: int | None = None) -> Encoding:
        """An encoding whose vocabulary covers the corpus."""

    @classmethod
    def read(
        cls,
        path: Path,
        check: Callable[[str], str | None],
        max_length: int | None = None,
        column: str | None = None,
    ) -> Corpus:
        """Sequences of a file for training; see `read_corpus`. Raises CorpusError.

        An encoding whose data comes in files of another kind reads those too, and cuts what is
        longer than `max_length` into pieces where it can.
        """
        return read_corpus(path, check, column)

    @abstractmethod
    def encode(self, sequence: str) -> np.ndarray:
        """int16 [T] actions of one whole episode. Raises ValueError for what it can't express."""

    @abstractmethod
    def decode(self, tokens: np.ndarray) -> str:
        """The sequence that actions [T] spell."""


def action_texts(encoding: Encoding, tokens: np.ndarray, length: int) -> list[str]:
    """The text of each action of one episode, the end token left out: int16 [T] -> <= T texts."""
    ids = tokens[:length].tolist()
    if ids and ids[-1] == encoding.vocabulary.end_id:
        ids.pop()
    return encoding.vocabulary.decode(ids)


def pad(sequences: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Stack episodes: int16 tokens [B,T] (zeros after the end), int32 lengths [B]."""
    lengths = np.fromiter((len(s) for s in sequences), dtype=np.int32, count=len(sequences))
    tokens = np.zeros((len(sequences), int(lengths.max(initial=1))), dtype=np.int16)
    for row, sequence in zip(tokens, sequences, strict=True):
        row[: len(sequence)] = sequence
    return tokens, lengths
