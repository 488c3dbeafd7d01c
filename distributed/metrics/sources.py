"""What became of the sequences of each proposer: proposed, screened out, scored, among the best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sequence_tutor.distributed.types import ActorReport, ScoreReport, ScreenReport

# How the counters are called in a checkpoint: this, the proposer's name, and the field.
PREFIX = "source"


@dataclass
class SourceCounts:
    """Counts of one proposer since the start of the run."""

    proposed: int = 0
    """Sequences that it has proposed."""
    screened_out: int = 0
    """Of these, those that the screen didn't choose: known, repeated or of little promise."""
    scored: int = 0
    """New scores, without invalid sequences."""
    top100: int = 0
    """Rows among the best 100 on record."""


class SourceTable:
    """The counts by the name of the proposer."""

    def __init__(self) -> None:
        self.by_name: dict[str, SourceCounts] = {}

    def _of(self, name: str) -> SourceCounts:
        return self.by_name.setdefault(name, SourceCounts())

    def add_generated(self, report: ActorReport) -> None:
        self._of(report.source).proposed += report.rows

    def add_screened(self, report: ScreenReport) -> None:
        """Count a choice; children that the screen bred are counted as proposed here."""
        for name, rows in report.bred.items():
            self._of(name).proposed += rows
        for name, rows in report.screened_out.items():
            self._of(name).screened_out += rows

    def add_scored(self, report: ScoreReport) -> None:
        for name, rows in report.scored_by.items():
            self._of(name).scored += rows

    def set_top(self, sources: Iterable[str]) -> None:
        """The sources of the best 100 rows."""
        counts = Counter(sources)
        for name in {*self.by_name, *counts}:
            self._of(name).top100 = counts[name]

    def counters(self) -> dict[str, int]:
        """The counts as a checkpoint keeps them."""
        return {
            f"{PREFIX}.{name}.{field}": value
            for name, counts in self.by_name.items()
            for field, value in vars(counts).items()
        }

    def restore(self, counters: Mapping[str, int]) -> None:
        """The inverse of `counters`; other names are ignored."""
        for key, value in counters.items():
            if key.startswith(f"{PREFIX}."):
                name, _, field = key.removeprefix(f"{PREFIX}.").rpartition(".")
                setattr(self._of(name), field, value)
