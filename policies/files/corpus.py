"""Training data: the usable sequences of a file, and remarks on the rest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sequence_tutor.policies.files.file_format import PLACES, format_of
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.files.table_reader import CorpusError as CorpusError
from sequence_tutor.policies.files.table_reader import read_sequences


@dataclass
class Corpus:
    """The usable sequences of a file or folder, and what was wrong with the rest."""

    path: Path | Location
    """The file or folder that was read."""
    parts: str = "lines"
    """Word for the parts of the input in error texts, such as "lines" or "files"."""
    shown: int = 5
    """Most entries in `broken`."""
    sequences: list[str] = field(default_factory=list)
    """Usable sequences in the order of the file."""
    groups: list[int] = field(default_factory=list)
    """For each sequence, the number of the piece it was cut from, so that whole pieces can be held
    out for validation; empty where each sequence is a piece of its own."""
    notes: list[str] = field(default_factory=list)
    """Remarks on how the data was read, a sentence each."""
    broken_count: int = 0
    """Number of unusable parts."""
    broken: list[str] = field(default_factory=list)
    """The first `shown` unusable parts, each with the reason."""

    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    """Tables on how the data was read, for a file beside the prior: name -> rows, of which the
    first has the names of the columns."""

    def add_broken(self, part: str, reason: str) -> None:
        """Note an unusable part, named by its line number and text, or by its file name."""
        self.broken_count += 1
        if len(self.broken) < self.shown:
            self.broken.append(f"{part}: {reason}")

    def make_distinct(self, key: Mapping[str, str], elsewhere: Collection[str] = ()) -> None:
        """Remove repeated texts, and sequences with a key of `elsewhere`, such as validation data.

        `key` maps each sequence to its key. Where there are no groups, different texts of one key
        become one group. Each of these changes is added to `notes`.
        """
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
            (alike, "spelled otherwise than an earlier one; both are trained on, or both held out"),
        ]:
            if count:
                self.notes.append(f"{self.path}: {count} of the sequences {what}")

    def complaints(self) -> str:
        """Describe the unusable parts for the user; "" where there are none."""
        if not self.broken_count:
            return ""
        lines = [f"{self.path}: {self.broken_count} unusable {self.parts} left out, for example"]
        return "\n".join(lines + [f"  {part}" for part in self.broken])

    def remarks(self) -> list[str]:
        """Everything that the user should know about the reading."""
        return [*self.notes, *filter(None, [self.complaints()])]


def read_corpus(
    path: Path, check: Callable[[str], str | None], column: str | None = None
) -> Corpus:
    """Read sequences; `check` returns the reason why one can't be used, or None.

    Blank lines are skipped; for `column` and the formats see `read_sequences`. Raises CorpusError.
    """
    if path.is_dir():
        raise CorpusError(f"{path} is a folder; this encoding reads single files (see --encoding)")
    place = PLACES[format_of(Location(path), column).kind]
    corpus = Corpus(path, f"{place}s")
    for number, text in read_sequences(path, column):
        if not text:
            continue
        reason = check(text)
        if reason is None:
            corpus.sequences.append(text)
        else:
            corpus.add_broken(f"{place} {number}: {text[:60]!r}", reason)
    if not corpus.sequences:
        raise CorpusError(f"{path} has no usable sequence. {corpus.complaints()}".strip())
    return corpus
