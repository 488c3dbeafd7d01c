"""What a page puts beside the sequences that a run has found: samples of its prior, and data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.report.page.rows import evenly
from sequence_tutor.policies.files.corpus import CorpusError
from sequence_tutor.policies.files.storage import Where
from sequence_tutor.policies.files.table_reader import read_sequences
from sequence_tutor.policies.find_prior import example_data
from sequence_tutor.rewards.base import Domain

# Sequences of each kind whose properties are compared; of a molecule they take about 5 ms.
COMPARED = 400
# Sequences of the data that the nearest are looked for in.
SEARCHED = 10_000
# Columns of a histogram, between these quantiles of all values.
BINS, QUANTILES = 24, (0.005, 0.995)


@dataclass(frozen=True)
class Beside:
    """Sequences to compare with."""

    corpus: list[str]
    """Data of the prior, or what the user gave instead; empty where there is none."""
    corpus_name: str
    """What it is, in words."""
    prior: list[str]
    """Samples of the prior; empty where they weren't wanted."""
    lacking: tuple[str, ...] = ()
    """What couldn't be read and why, a sentence each."""
    properties: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    """By "data" and "prior": float64 [B] by property, computed once."""


def read_beside(run: RunConfig, against: Where | None, samples: bool = True) -> Beside:
    """The data and samples of a run's prior. against: a file to compare with instead of the
    prior's data. Raises ValueError where that can't be read."""
    domain, lacking = run.domain, []
    if against is not None:
        data = [text for _, text in read_sequences(against, None, tolerant=True) if text]
        name = str(against)
    else:
        try:
            data = example_data(run.prior)
        except (ValueError, OSError) as error:  # the prior was moved after the run
            data = []
            lacking.append(f"Nothing is compared with the prior's data: {error}.")
        name = f"the data of the prior {run.prior}"
    with domain.quiet():
        valid = [text for text in _spread(data, SEARCHED) if domain.key(text) is not None]
    if against is not None and not valid:
        raise CorpusError(f"{against} has no valid sequence")
    drawn = []
    if samples:
        try:
            drawn = _samples(run)
        except (ValueError, OSError) as error:
            lacking.append(f"Nothing is compared with samples of the prior: {error}.")
    return Beside(valid, name, drawn, tuple(lacking))


def _samples(run: RunConfig) -> list[str]:
    from sequence_tutor.distributed.run_directory.starting_prior import starting_prior

    drawn = starting_prior(run).sample(COMPARED, run.seed)
    domain = run.domain
    with domain.quiet():
        return [text for text in drawn if domain.key(text) is not None]


def _spread(texts: Sequence[str], most: int) -> list[str]:
    return [texts[i] for i in evenly(len(texts), most).tolist()]


def distributions(
    best: Mapping[str, Sequence[str]], found: Sequence[str], beside: Beside, domain: Domain
) -> list[dict[str, Any]]:
    """Histograms of each property of the domain, as shares: of the best sequences by what they are
    called, of a sample of all that were found, of the prior's samples and of the data, on the same
    columns."""
    sets = {**best, "found": _spread(found, COMPARED)}
    values = {name: domain.properties(some) for name, some in sets.items() if some}
    for name, some in (("prior", beside.prior), ("data", _spread(beside.corpus, COMPARED))):
        if some:
            if name not in beside.properties:
                beside.properties[name] = domain.properties(some)
            values[name] = beside.properties[name]
    if not values:
        return []
    shown = []
    for name in next(iter(values.values())):
        every = np.concatenate([numbers[name] for numbers in values.values()])
        every = every[np.isfinite(every)]
        if not len(every):
            continue
        low, high = _ends(every)
        edges = np.linspace(low, high, BINS + 1)
        shown.append(
            {
                "name": name,
                "edges": edges.tolist(),
                "sets": {label: _shares(numbers[name], edges) for label, numbers in values.items()},
                "medians": {label: _median(numbers[name]) for label, numbers in values.items()},
            }
        )
    return shown


def _ends(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, QUANTILES).tolist()
    if (values == np.rint(values)).all() and high - low < BINS:  # a count: a column for each
        return low - 0.5, low - 0.5 + BINS
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _shares(values: np.ndarray, edges: np.ndarray) -> list[float]:
    """The share of the values in each column; those beyond the ends are in the outer columns."""
    finite = np.clip(values[np.isfinite(values)], edges[0], edges[-1])
    counts = np.histogram(finite, edges)[0]
    shares: list[float] = (counts / max(1, len(finite))).tolist()
    return shares


def _median(values: np.ndarray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else None
