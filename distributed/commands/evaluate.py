"""The evaluate command: describes a prior, a run's policy or a file in numbers, and prints them as
columns of a table, beside those of data and of noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console

from sequence_tutor.distributed.report.evaluation import (
    compare,
    describe,
    guess_encoding,
    print_table,
    spread,
)
from sequence_tutor.distributed.report.reward_table import evaluated_rewards
from sequence_tutor.distributed.report.summary import print_rewards
from sequence_tutor.distributed.run_directory.resume import config_of
from sequence_tutor.distributed.run_directory.starting_prior import starting_prior
from sequence_tutor.policies.encodings.base import Encoding
from sequence_tutor.policies.encodings.registry import encodings
from sequence_tutor.policies.files.corpus import CorpusError
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.find_prior import is_reinvent
from sequence_tutor.policies.prior import Prior, load_prior
from sequence_tutor.rewards.domains import domain_of
from sequence_tutor.rewards.isolation.identify import identify_all
from sequence_tutor.rewards.table_rows import TableRows


@dataclass(frozen=True)
class Request:
    """The arguments of evaluate."""

    source: str
    """A prior, a run or a file."""
    against: str | None = None
    """Data to compare with; None for the data in the prior's directory."""
    n: int = 10_000
    """Sample size."""
    seed: int = 0
    """Seed of the sample."""
    column: str | None = None
    """Column of the sequences in the files."""
    encoding: str | None = None
    """Encoding of a file; None to guess it from the file."""
    paper: bool = False
    """Whether to show the results of the Sequence Tutor paper, and what it alone counts."""
    report_samples: int = 0
    """Number of sequences to score, each of a run's prior and policy."""


def evaluate_source(request: Request, console: Console) -> None:
    """Print the tables. Raises ValueError or OSError for a mistake of the user."""
    place = Location(request.source)
    is_run = (place / "policy").is_dir()
    prior: Prior | None = None
    if is_run:
        prior = starting_prior(config_of(place))
    elif not _is_data(place):
        prior = load_prior(request.source)
    if request.report_samples and not is_run:
        raise ValueError(f"--report-samples is for a finished run, and {place} isn't one")
    encoding = _encoding(request, place, prior)
    domain = domain_of(encoding)
    data, training = None, None
    if request.against is not None:
        data = _read(Location(request.against), encoding, request.column, prior, valid=True)
        training = {domain.key(s) or s for s in data}
        if prior is not None:
            _check_vocabulary(prior.encoding, data, request.against)
    columns: dict[str, Mapping[str, float]] = {}
    policy = load_prior(request.source) if is_run else None
    if prior is None:
        columns[place.name] = describe(
            _sequences(place, encoding, request.column), domain, training=training
        )
        if data is not None:
            columns["data"] = describe(spread(data, request.n), domain, training=training)
    else:
        columns |= compare(domain, prior, policy, None, data, training, request.n, request.seed)
    if request.paper:
        columns |= domain.published
    hidden = () if request.paper else domain.of_papers
    print_table(columns, console, hidden=hidden, notes=domain.row_notes)
    if prior is not None and policy is not None:
        samples, seed = request.report_samples, request.seed
        rewards = evaluated_rewards(place, prior, policy, samples, seed, console)
        notes = TableRows.of(config_of(place).reward, domain.name).notes
        print_rewards(rewards, console, notes)


def _encoding(request: Request, place: Location, prior: Prior | None) -> str:
    """Name of the encoding: the prior's, else the requested one, else a guess from the file."""
    if prior is not None:
        return prior.encoding.name
    if request.encoding is None:
        return guess_encoding(place, request.column)
    if request.encoding not in encodings():
        known = ", ".join(encodings())
        raise ValueError(f"unknown encoding {request.encoding!r}; there are: {known}")
    return request.encoding


def _sequences(place: Location, encoding: str, column: str | None) -> list[str]:
    """All sequences of a file, also invalid ones, as their share is one of the numbers. A sequence
    that crashes or hangs the process that reads it becomes "", which is invalid too."""
    sequences = _read(place, encoding, column, None, valid=False)
    found = identify_all(domain_of(encoding), sequences)
    if all(one.key is None for one in found):
        other = guess_encoding(place, column)
        hint = f"; it holds those of --encoding {other}" if other != encoding else ""
        raise ValueError(f"{place} has no valid sequence of --encoding {encoding}{hint}")
    return [s if one.lost is None else "" for s, one in zip(sequences, found, strict=True)]


def _is_data(path: Location) -> bool:
    """Whether a path is a file, or a folder that holds neither a prior nor a run."""
    other = any((path / name).is_file() for name in ("prior.json", "config.toml"))
    if is_reinvent(path):
        return False
    return path.is_file() or (path.is_dir() and not other)


def _read(
    where: Location, encoding: str, column: str | None, prior: Prior | None, valid: bool
) -> list[str]:
    """Sequences of a file or folder, only the valid ones if `valid`, as long as the prior's where
    files are cut into pieces. Prints a remark about skipped ones on standard error."""
    domain = domain_of(encoding)
    length = None if prior is None else prior.encoding.max_length
    options = {} if prior is None else prior.encoding.options

    def check(sequence: str) -> str | None:
        return (valid and domain.identify(sequence).reason) or None

    with where.fetched() as path:
        try:
            corpus = encodings()[encoding].read(path, check, length, column, **options)
        except CorpusError as error:
            raise CorpusError(str(error).replace(str(path), str(where))) from error
        for remark in corpus.remarks():
            Console(stderr=True).print(remark.replace(str(path), str(where)), markup=False)
    return corpus.sequences


def _check_vocabulary(encoding: Encoding, sequences: list[str], path: str) -> None:
    """Raises ValueError if the vocabulary lacks a token of a sequence."""
    lacking = []
    for sequence in sequences:
        try:
            encoding.encode(sequence)
        except ValueError as error:
            lacking.append(str(error))
    if lacking:
        raise ValueError(
            f"{path}: the prior's vocabulary lacks tokens of {len(lacking)} of {len(sequences)} "
            f"sequences, the first: {lacking[0]}; leave these out, or pretrain a prior on data "
            "that has them"
        )
