"""Sequences to learn from: a file of them, checked one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.files.table_reader import CorpusError as CorpusError
from sequence_tutor.policies.files.table_reader import read_sequences


@dataclass
class Corpus:
    """Sequences of a file or folder and what was wrong with the rest.

    `groups`: of each sequence the number of the piece it was cut from, so that validation can hold
    out whole pieces; empty where each sequence is a piece of its own. `notes` are remarks on how
    the data was read. `broken` names the first `shown` unusable `parts`, each with the reason.
    """

    path: Path | Location
    parts: str = "lines"
    shown: int = 5
    sequences: list[str] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    broken_count: int = 0
    broken: list[str] = field(default_factory=list)

    def add_broken(self, part: str, reason: str) -> None:
        """`part` is what can't be used: a line and its text, or a file's name."""
        self.broken_count += 1
        if len(self.broken) < self.shown:
            self.broken.append(f"{part}: {reason}")

    def make_distinct(self, key: Mapping[str, str], elsewhere: Collection[str] = ()) -> None:
        """Leave out what repeats a text, and what has a key of `elsewhere`, such as the data to
        validate with; put different texts of one key into one group, where each was its own. `key`
        has the key of each sequence. Notes say what was done."""
        kept: dict[str, int] = {}
        first: dict[str, int] = {}
        repeated = known = alike = 0
        for i, sequence in enumerate(self.sequences):
            own = key[sequence]
            if own in elsewhere:
                known += 1
            elif sequence in kept:
                repeated += 1
            else:
                group = first.setdefault(own, i)
                alike += group != i
                kept[sequence] = self.groups[i] if self.groups else group
        self.sequences, self.groups = list(kept), list(kept.values())
        for count, what in [
            (repeated, "left out: the same text as an earlier one"),
            (known, "left out: in the data to validate with"),
            (alike, "spelled otherwise than an earlier one and held out or trained on with it"),
        ]:
            if count:
                self.notes.append(f"{self.path}: {count} of the sequences {what}")

    def complaints(self) -> str:
        """What was left out, for people; empty where nothing was."""
        if not self.broken_count:
            return ""
        lines = [f"{self.path}: {self.broken_count} unusable {self.parts} left out, for example"]
        return "\n".join(lines + [f"  {part}" for part in self.broken])

    def remarks(self) -> list[str]:
        """All that people should know of the reading."""
        return [*self.notes, *filter(None, [self.complaints()])]


def read_corpus(
    path: Path, check: Callable[[str], str | None], column: str | None = None
) -> Corpus:
    """Read sequences; `check` gives the reason why one can't be used, or None.

    Blank lines don't count; for `column` and the rest see `read_sequences`. Raises CorpusError.
    """
    if path.is_dir():
        raise CorpusError(f"{path} is a folder; this encoding reads single files (see --encoding)")
    corpus = Corpus(path)
    for number, text in read_sequences(path, column):
        if not text:
            continue
        reason = check(text)
        if reason is None:
            corpus.sequences.append(text)
        else:
            corpus.add_broken(f"line {number}: {text[:60]!r}", reason)
    if not corpus.sequences:
        raise CorpusError(f"{path} has no usable sequence. {corpus.complaints()}".strip())
    return corpus
