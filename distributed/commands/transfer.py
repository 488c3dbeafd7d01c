"""The part of the pretrain command that --from needs: the prior to start from, and what the
training changed, on the new data and on the prior's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from sequence_tutor.distributed.commands.plain_print import print_plainly
from sequence_tutor.distributed.report.evaluation import print_table, spread
from sequence_tutor.policies.encodings.registry import encodings
from sequence_tutor.policies.pretrain_settings import PretrainSettings
from sequence_tutor.policies.prior import Prior, load_prior
from sequence_tutor.policies.transfer import grown

# Sequences of the old data that are compared, evenly spread over it.
OLD_SEQUENCES = 500


class Start:
    """The prior that a training starts from. Raises PriorError where there is none, or where it
    can't be trained on."""

    def __init__(self, name: str, old_data: Path | None = None) -> None:
        self.name, self.prior, self._old_data = name, load_prior(name), old_data
        self.before = grown(self.prior, [])
        """The prior with the tokens of the new data, not trained yet; see `grown`."""
        self.old: list[str] = []
        """Sequences of the old data that the prior can express; none where it isn't known."""

    @property
    def origin(self) -> dict[str, Any]:
        """What the new prior's card says of the old one."""
        card = {k: v for k, v in self.prior.card.items() if k not in ("training", "history")}
        return {"from": {"prior": self.name, "card": card}}

    def settings(self, settings: PretrainSettings) -> PretrainSettings:
        """The settings, with the sizes of the prior's network."""
        a = self.prior.network.architecture
        return replace(
            settings, cell=a.cell, embedding=a.embedding, hidden=a.hidden, layers=a.layers
        )

    def grown(
        self, sequences: Sequence[str], max_length: int, column: str | None, console: Console
    ) -> Prior:
        """The prior with the tokens of the sequences. Reads the old data too. Raises CorpusError
        where that can't be read."""
        self.before = grown(self.prior, sequences, max_length)
        old = self.prior.encoding.vocabulary.tokens
        new = [t for t in self.before.encoding.vocabulary.tokens if t not in old]
        if new:
            print_plainly(console, f"tokens that {self.name} hasn't: {' '.join(new)}")
        self.old = self._read_old(column)
        if not self.old:
            print_plainly(
                console,
                f"{self.name} comes without its data, so it isn't known what it forgets: give some "
                "of that data as --old-data",
            )
        return self.before

    def _read_old(self, column: str | None) -> list[str]:
        if self._old_data is None:
            data = self.prior.data
            return [] if data is None else spread(data.held_out, OLD_SEQUENCES)
        encoding = self.prior.encoding
        kind = encodings()[encoding.name]

        def check(sequence: str) -> str | None:
            try:
                length = len(encoding.encode(sequence))
            except ValueError as error:
                return str(error)
            return "too long" if length > encoding.max_length else None

        corpus = kind.read(self._old_data, check, encoding.max_length, column, **encoding.options)
        return spread(corpus.sequences, OLD_SEQUENCES)


def print_nll(
    start: Start, after: Prior, held_out: Sequence[str], data: str, console: Console
) -> dict[str, dict[str, float]]:
    """Print and return the NLL before and after the training, nats per sequence, on the held-out
    part of the new data and on the old data where it is known. Before, a token that the prior
    hasn't is as likely as `grown` makes it."""
    parts = {f"held-out part of {data} ({len(held_out)})": (held_out, start.before)}
    if start.old:
        parts[f"old data ({len(start.old)})"] = start.old, start.prior
    columns: dict[str, dict[str, float]] = {"before": {}, "after": {}}
    for name, (part, before) in parts.items():
        for when, prior in (("before", before), ("after", after)):
            columns[when][name] = float(-prior.log_prob(part).mean())
    print_table(columns, console, "NLL, nats per sequence")
    return columns
