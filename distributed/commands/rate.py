"""`sequence-tutor rate`: a person marks what a run has made, in a terminal or in a file.

The marks are in RUN/ratings.csv, which is written anew, as a whole, after each of them. From that
file the component `preference` learns.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import typer
from rich.console import Console

from sequence_tutor.distributed.commands.plain_print import print_plainly
from sequence_tutor.distributed.commands.player import Player
from sequence_tutor.distributed.commands.rated_next import rated_next
from sequence_tutor.distributed.config_file import ConfigError
from sequence_tutor.distributed.replay.record.store import RecordError
from sequence_tutor.distributed.report.best_shown import log_prob
from sequence_tutor.distributed.run_directory.earlier_runs import RunOnRecord, run_on_record
from sequence_tutor.distributed.run_directory.last_metric import last_metric
from sequence_tutor.distributed.run_directory.record_rows import record_rows
from sequence_tutor.distributed.run_directory.resume import config_of
from sequence_tutor.distributed.run_directory.starting_prior import starting_prior
from sequence_tutor.distributed.stages import run_directories
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.rewards.base import Domain
from sequence_tutor.rewards.isolation.identify import identify_all
from sequence_tutor.rewards.preference import FEWEST_PAIRS
from sequence_tutor.rewards.ratings import (
    ALLOWED,
    BEST,
    WORST,
    Rating,
    mark_of,
    ratings_csv,
    read_ratings,
    unequal_pairs,
)

RATINGS = "ratings.csv"
COUNT = 10
PROMPT = f"mark {WORST} to {BEST} ({BEST} the best), s to skip, p to play again, q to stop"


@dataclass(frozen=True)
class Wanted:
    """The options of rate."""

    n: int | None = None
    """Sequences to rate; None for COUNT."""
    seed: int | None = None
    """Seed of the choice; None for 0."""
    write: Path | None = None
    """File to write the sequences into, instead of asking."""
    read: Path | None = None
    """File to take marks from, instead of asking."""
    render: Path | None = None
    """Directory for what shows the sequences."""


class Ratings:
    """The marks of a run. Raises ValueError for a damaged file, OSError for one that can't be read
    or written."""

    def __init__(self, run: Location) -> None:
        self.file = run / RATINGS
        self.known()  # a damaged file is said before anything is asked

    def known(self) -> dict[str, Rating]:
        """The marks by the sequences."""
        if not self.file.is_file():
            return {}
        try:
            return {one.sequence: one for one in read_ratings(self.file.read())}
        except ValueError as error:
            raise ValueError(f"{self.file}, {error}") from error

    def add(self, marks: Iterable[tuple[str, int]]) -> None:
        """Add marks of sequences; one of a sequence that has a mark replaces it. The file is read
        again before, since another session may have added some."""
        known, now = self.known(), datetime.now(UTC).isoformat(timespec="seconds")
        for sequence, mark in marks:
            known[sequence] = Rating(sequence, mark, now)
        self.file.write(ratings_csv(known.values()))


def rate(where: str, wanted: Wanted, console: Console) -> None:
    """Ask for marks, write a file for them, or take those of a file. Raises ValueError with one
    sentence for a mistake, OSError for a file that can't be read or written."""
    _check(wanted)
    run = _run(Location(where))
    domain, ratings = run.config.domain, Ratings(Location(where))
    if wanted.read is not None:
        _take(wanted.read, ratings, domain, console)
    else:
        keys = _chosen(run, ratings, wanted)
        if not keys:
            raise ValueError(f"{where} has no valid sequence without a mark")
        if wanted.render is not None:
            print_plainly(console, domain.render(keys, wanted.render))
        if wanted.write is not None:
            wanted.write.write_text(_empty_marks(keys), encoding="utf-8")
            print_plainly(
                console,
                f"{len(keys)} sequences are in {wanted.write}: put {ALLOWED}, into the column "
                f"mark, then: sequence-tutor rate {where} --read {wanted.write}",
            )
            return
        _ask(keys, ratings, domain, console)
    _conclude(ratings, console)


def _check(wanted: Wanted) -> None:
    if wanted.read is not None:
        others = {"--write": wanted.write, "--render": wanted.render, "-n": wanted.n}
        others |= {"--seed": wanted.seed}
        if given := [name for name, value in others.items() if value is not None]:
            raise ValueError(f"--read takes the marks of a file: leave out {' and '.join(given)}")
    if wanted.write is not None and wanted.write.exists():
        raise ValueError(f"{wanted.write} exists already; choose another --write")
    folder = wanted.render
    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists already; choose another --render")


def _run(where: Location) -> RunOnRecord:
    """The run, or the last stage of one. Raises ConfigError."""
    if not (where / "config.toml").is_file():
        raise ConfigError(f"{where} is no run: it has no config.toml")
    directories = run_directories(where, config_of(where))
    if not directories:
        raise ConfigError(f"no stage of {where} has begun")
    return run_on_record(directories[-1])


def _chosen(run: RunOnRecord, ratings: Ratings, wanted: Wanted) -> list[str]:
    """The keys of sequences to rate. Raises ConfigError where the record can't be read, ValueError
    where the prior that judges the best is missing."""
    config = run.config
    try:
        rows = record_rows(run.record, config.reward.identity())
    except RecordError as error:
        raise ConfigError(str(error)) from error
    temperature = last_metric(run.where, "temperature") or 0.0
    prior = starting_prior(config) if config.domain.shows_plausible and len(rows) else None

    def more(texts: Sequence[str]) -> np.ndarray:
        if prior is None:
            return np.zeros(len(texts))
        return np.array([temperature * log_prob(prior, text) for text in texts])

    n, seed = wanted.n or COUNT, wanted.seed or 0
    return rated_next(rows, ratings.known(), config.domain, more, n, seed)


# -- in a file ------------------------------------------------------------------------------------


def _empty_marks(keys: Sequence[str]) -> str:
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["number", "sequence", "mark"])
    rows.writerows((number, key, "") for number, key in enumerate(keys, 1))
    return text.getvalue()


def _take(file: Path, ratings: Ratings, domain: Domain, console: Console) -> None:
    """Add the marks of a file, all of them or none."""
    try:
        found = read_ratings(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file}, {error}") from error
    marks: dict[str, Rating] = {}
    identities = identify_all(domain, [one.sequence for one in found])
    for one, identity in zip(found, identities, strict=True):
        if identity.key is None:
            why = f" ({identity.reason})" if identity.reason else ""
            raise ValueError(
                f"{file}, line {one.line}: {one.sequence[:60]!r} isn't valid{why}; leave the "
                "sequences as `rate --write` wrote them"
            )
        before = marks.setdefault(identity.key, one)
        if before.mark != one.mark:
            raise ValueError(
                f"{file}, line {one.line}: the sequence has mark {before.mark} in line "
                f"{before.line} and {one.mark} here; give it one mark"
            )
    if not marks:
        raise ValueError(f"{file} has no mark: put {ALLOWED}, into its column mark")
    ratings.add((key, one.mark) for key, one in marks.items())
    print_plainly(console, f"{len(marks)} marks of {file} are taken")


# -- in a terminal --------------------------------------------------------------------------------


def _ask(keys: Sequence[str], ratings: Ratings, domain: Domain, console: Console) -> None:
    player = Player()
    with tempfile.TemporaryDirectory(prefix="sequence-tutor-") as folder:
        try:
            for number, key in enumerate(keys, 1):
                print_plainly(console, f"\n{number} of {len(keys)}: {key}")
                wav = _show(key, domain, Path(folder) / f"{number}.wav", console)
                answer = _answer(wav, player, console)
                player.stop()
                if answer == "q":
                    return
                if (mark := mark_of(answer)) is not None:
                    ratings.add([(key, mark)])
        except (KeyboardInterrupt, EOFError, typer.Abort):  # Ctrl-C, and the end of the input
            print_plainly(console, "")
        finally:
            player.stop()


def _show(key: str, domain: Domain, wav: Path, console: Console) -> Path | None:
    """Write the sound of a sequence; of what isn't heard, print what people know it by."""
    shown = domain.depict(key)
    if shown.sound:
        wav.write_bytes(shown.sound)
        return wav
    numbers = [f"{name}: {values[0]:.4g}" for name, values in domain.properties([key]).items()]
    for line in ("; ".join(numbers), *shown.remarks):
        print_plainly(console, f"  {line}")
    return None


def _answer(wav: Path | None, player: Player, console: Console) -> str:
    """A mark, "s" or "q"; asks until it is one of these."""
    answer = "p"
    while True:
        if answer == "p" and wav is not None:
            program = player.play(wav)
            how = f"played by {program}" if program else "no program here plays it"
            print_plainly(console, f"  {how}; until you stop, the sound is in {wav}")
        elif answer == "p":
            print_plainly(console, "  there is nothing to be heard")
        answer = str(typer.prompt(PROMPT)).strip().lower()
        if answer in ("s", "q") or mark_of(answer) is not None:
            return answer
        if answer != "p":
            print_plainly(console, f"  {answer[:20]!r} is none of these: a mark is {ALLOWED}")


def _conclude(ratings: Ratings, console: Console) -> None:
    known = ratings.known()
    pairs = unequal_pairs(one.mark for one in known.values())
    text = f"{len(known)} marks are in {ratings.file}, with {pairs:,} pairs of unequal ones"
    if pairs < FEWEST_PAIRS:
        text += f"; the component preference needs {FEWEST_PAIRS}"
    else:
        text += f': name = "preference", file = "{ratings.file}" in a [[reward.component]]'
    print_plainly(console, text)
