"""Describes sequences in numbers, and compares data, random actions, prior and policy."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.report.wide_table import print_wide
from sequence_tutor.policies.encodings.base import FOLDER, Encoding
from sequence_tutor.policies.encodings.registry import encodings
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.files.table_reader import read_sequences
from sequence_tutor.rewards.base import Domain, Reward
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.table_rows import RAW_MEANS, TableRows, mean_of_known

if TYPE_CHECKING:
    from sequence_tutor.policies.prior import Prior

# By the title of a column: its numbers by the name of their row.
Columns = Mapping[str, Mapping[str, float]]
EMPTY: Mapping[str, str] = {}
# Metrics of domains that come first.
FIRST = ("valid", "distinct", "novel")
# How many sequences of a file its encoding is guessed from.
GUESSED_FROM = 200


def describe(
    sequences: Sequence[str],
    domain: Domain,
    reward: Reward | None = None,
    training: Collection[str] | None = None,
    prior: Prior | None = None,
    policy: Prior | None = None,
    rows: TableRows = RAW_MEANS,
) -> dict[str, float]:
    """Numbers for a sample, its size first.

    With `reward`: its mean and that of each component, over the sequences that have one. With
    `prior`: the negative log-likelihood under it, nats per sequence (mean and percentiles) and per
    action, over the sequences that it can express. With `policy` too, whose sample it must be: an
    estimate of KL(policy || prior), nats per sequence. Between them the domain's metrics, against
    `training` keys where given. rows: how the components of `reward` are shown.
    """
    numbers: dict[str, float] = {"sequences": len(sequences)}
    if reward is not None:
        scores = reward.score(sequences)
        numbers |= rows.means(scores.rewards, scores.raw)
    metrics = domain.metrics(sequences, training)
    numbers |= {name: metrics[name] for name in FIRST if name in metrics} | metrics
    if prior is not None:
        log_prior, lengths = _log_probs(prior, sequences)
        known = ~np.isnan(log_prior)
        numbers["nll"] = -mean_of_known(log_prior)
        for share in (5, 95):
            found = np.percentile(-log_prior[known], share) if known.any() else np.nan
            numbers[f"nll_{share}%"] = float(found)
        numbers["nll_per_action"] = -mean_of_known(log_prior) / mean_of_known(
            lengths[known].astype(float)
        )
        if policy is not None:
            numbers["kl_to_prior"] = mean_of_known(_log_probs(policy, sequences)[0] - log_prior)
    return numbers


def compare(
    domain: Domain,
    prior: Prior,
    policy: Prior | None = None,
    reward: Reward | None = None,
    data: Sequence[str] | None = None,
    training: Collection[str] | None = None,
    n: int = 1000,
    seed: int = 0,
) -> Columns:
    """Data, uniformly random actions, the prior's samples and the policy's, `n` each.

    Novelty and distance to data refer to the `training` keys. Without `data`, both are the prior's
    own, if it has any: its held-out data then stands for the data.
    """
    if data is None and prior.data is not None:
        data = prior.data.held_out
        training = {domain.key(s) or s for s in prior.data.training}
    columns: dict[str, dict[str, float]] = {}
    if data:
        columns["data"] = describe(spread(data, n), domain, reward, training, prior)
    random = random_sequences(prior.encoding, n, seed)
    columns["uniform random"] = describe(random, domain, reward, training, prior)
    columns["prior"] = describe(prior.sample(n, seed), domain, reward, training, prior)
    if policy is not None:
        columns["tuned policy"] = describe(
            policy.sample(n, seed), domain, reward, training, prior, policy
        )
    return columns


def print_table(
    columns: Columns,
    console: Console,
    title: str | None = None,
    hidden: Collection[str] = (),
    notes: Mapping[str, str] = EMPTY,
) -> None:
    """Print the columns side by side, with a row for each number that any of them has and that
    isn't `hidden`. "-" stands for an unknown number, such as the mean of nothing. Without columns,
    print nothing. notes: what the names of rows leave open."""
    if not columns:
        return
    table = Table(title=title)
    table.add_column("", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right")
    for row in dict.fromkeys(key for numbers in columns.values() for key in numbers):
        if row in hidden:
            continue
        cells = [_cell(c[row]) if row in c else "" for c in columns.values()]
        name = row.replace("_", " ")
        table.add_row(f"{name} ({notes[row]})" if row in notes else name, *cells)
    print_wide(table, console, 40 + 16 * len(columns))


def _cell(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def guess_encoding(place: Location, column: str | None = None) -> str:
    """The encoding of a file or folder of sequences: the one whose own files they are, else that in
    which most of the first sequences are valid, else the default of a config. Raises CorpusError
    for a file that can't be read."""
    default: str = RunConfig.model_fields["encoding"].default
    suffix = "".join(place.suffixes[-1:]).lower()
    own = next((n for n, kind in encodings().items() if suffix in kind.own_files), None)
    if place.is_dir() or own is not None:
        return own or next(n for n, kind in encodings().items() if FOLDER in kind.own_files)
    first = [text for _, text in islice(read_sequences(place, column), GUESSED_FROM) if text]
    valid = {name: sum(domain_of(name).key(s) is not None for s in first) for name in encodings()}
    best = max(encodings(), key=lambda name: valid[name])
    return best if valid[best] > valid[default] else default


def random_sequences(encoding: Encoding, n: int, seed: int) -> list[str]:
    """n sequences of uniformly random actions, until the end token or the greatest length."""
    shape = (n, encoding.max_length)
    actions = np.random.default_rng(seed).integers(0, encoding.vocabulary.size, shape)
    return [encoding.decode(row) for row in actions]


def _log_probs(prior: Prior, sequences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities float64 [B], nats, NaN for sequences that the prior can't express, and
    lengths int64 [B]."""
    log_probs = np.full(len(sequences), np.nan)
    lengths = np.zeros(len(sequences), dtype=np.int64)
    rows = []
    for i, sequence in enumerate(sequences):
        try:
            lengths[i] = len(prior.encoding.encode(sequence))
        except ValueError:
            continue
        rows.append(i)
    if rows:
        log_probs[rows] = prior.log_prob([sequences[i] for i in rows], exact=False)
    return log_probs, lengths


def spread(sequences: Sequence[str], n: int) -> list[str]:
    """At most n of the sequences, evenly spaced."""
    places = np.linspace(0, len(sequences) - 1, min(n, len(sequences)))
    return [sequences[int(i)] for i in places]
