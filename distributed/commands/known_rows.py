"""What a run begins with: the rows of a table of rewards, or those of an earlier run.

An earlier run's rewards are computed anew from the raw values on its record. Components that it
hadn't are called, if the user allows it, on the sequences that need nothing else; these scores are
in RUN/warm-start/, as a result of `score`.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow.parquet as pq
from rich.console import Console

from sequence_tutor.distributed.bulk.assemble import Outputs
from sequence_tutor.distributed.commands.plain_print import print_plainly
from sequence_tutor.distributed.commands.score_file import score_file
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.config_file import ConfigError
from sequence_tutor.distributed.given_parts import SpellingEncoding
from sequence_tutor.distributed.replay.record.reload import scores_of_table
from sequence_tutor.distributed.replay.record.store import PartStore
from sequence_tutor.distributed.run_directory.earlier_runs import (
    EarlierRuns,
    LackingValues,
    NothingOfUseError,
    earlier_runs,
    run_on_record,
)
from sequence_tutor.distributed.run_directory.recorded_values import recorded_values
from sequence_tutor.distributed.run_directory.resume import config_of
from sequence_tutor.distributed.run_directory.warm_start import WarmStart, read_scored, to_scored
from sequence_tutor.distributed.run_directory.warm_start_checks import scale_warnings
from sequence_tutor.distributed.scoring.earlier_values import FOLDER
from sequence_tutor.distributed.stop_signal import StoppedError
from sequence_tutor.distributed.types import Scored
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.rewards.base import Domain
from sequence_tutor.rewards.on_record import only

if TYPE_CHECKING:
    from sequence_tutor.policies.prior import Prior

# Files of the scores of new components, in FOLDER.
SEQUENCES, RESULT = "sequences.csv", "scores.csv"


def read_known(
    start: WarmStart, rescore: int | None, run: RunConfig, prior: Prior, domain: Domain
) -> KnownRows:
    """Read what the run begins with; nothing is scored. rescore: see `Options`.

    Raises ConfigError if the run can't use any of it, or where new components would have to be
    called and `rescore` is None; CorpusError for a file that can't be read.
    """
    earlier = earlier_runs(start, run, prior.encoding)
    if earlier is None:
        if rescore is not None:
            raise ConfigError(
                f"--rescore needs --warm-start with an earlier run; {start.where} has no config of "
                "one"
            )
        return _Table(start, run, prior, domain)
    if not earlier.missing and rescore is not None:
        raise ConfigError(
            f"--rescore is for components that {start.where} lacks, and it has all: leave it out"
        )
    return _Earlier(earlier, rescore, run)


def read_stage(
    before: Sequence[Location], rescore: int, run: RunConfig, prior: Prior
) -> KnownRows | None:
    """Read what the stages before have scored, in these directories; `rescore` as in `read_known`.
    It may be nothing that this stage can use. Raises ConfigError if a record can't be read."""
    try:
        earlier = EarlierRuns([run_on_record(one) for one in before], run, prior.encoding)
    except NothingOfUseError:
        return None
    return _Earlier(earlier, rescore, run, needed=False)


def read_fork(
    before: Sequence[Location], rescore: int | None, run: RunConfig, prior: Prior
) -> KnownRows | None:
    """Read what the run that this one goes on from has scored, in these directories; `rescore` as
    in `read_known`. None where this run can use nothing of it. Raises as `read_known`."""
    try:
        earlier = EarlierRuns([run_on_record(one) for one in before], run, prior.encoding)
    except NothingOfUseError:
        return None
    if not earlier.missing and rescore is not None:
        raise ConfigError(
            f"--rescore is for components that {earlier.where} lacks, and it has all: leave it out"
        )
    return _Earlier(earlier, rescore, run, needed=False)


class KnownRows(Protocol):
    """The rows, once their missing scores are there."""

    def rows(self, out: Location, local: bool, console: Console) -> Scored:
        """The rows. Scores what is missing, into the run directory `out`, and prints remarks.
        Raises StoppedError if that is interrupted."""


class _Table:
    """Rewards that are taken as they are."""

    def __init__(self, start: WarmStart, run: RunConfig, prior: Prior, domain: Domain) -> None:
        sequences, rewards, remarks = read_scored(
            start.where, start.column, start.reward_column, start.lower_is_better
        )
        self._scored, more = to_scored(sequences, rewards, prior.encoding, domain, time.time())
        if isinstance(prior.encoding, SpellingEncoding):  # this run makes none without its parts
            kept = np.flatnonzero(self._scored.lengths > 0)
            lacking = len(self._scored) - len(kept)
            self._scored = self._scored.select(kept)
            more.append(f"{lacking:,} sequences lack the given parts of this run and are left out")
        ranked = run.reward.aggregate == "pareto"
        learnable = bool((self._scored.lengths > 0).any()) and not ranked
        if not len(self._scored) or not (learnable or run.generates):
            raise ConfigError(
                f"the run can't learn from {start.where} with the prior {run.prior!r}"
            )
        warnings = scale_warnings(self._scored.rewards, start.where, run, domain.name)
        self._remarks = [*remarks, *more, *(f"warning: {text}" for text in warnings)]
        if ranked:
            self._remarks.append(
                f"{start.where} has no values of the components, which Pareto ranks compare: its "
                "sequences aren't scored again, and aren't learned from"
            )

    def rows(self, out: Location, local: bool, console: Console) -> Scored:
        for remark in self._remarks:
            print_plainly(console, remark)
        return self._scored


class _Earlier:
    """Rows of an earlier run, with the rewards of this one."""

    def __init__(
        self, earlier: EarlierRuns, rescore: int | None, run: RunConfig, needed: bool = True
    ) -> None:
        self._earlier, self._run, self._needed = earlier, run, needed
        self._lacking = earlier.lacking()
        if len(self._lacking) and rescore is None:
            raise ConfigError(
                f"{', '.join(earlier.missing)} isn't among the components of {earlier.where}, and "
                f"{len(self._lacking):,} of its sequences lack nothing else: give --rescore N to "
                "call what is new for the N best of them, beyond stop.scores (0 for none)"
            )
        self._lacking = self._lacking[: rescore or 0]

    def rows(self, out: Location, local: bool, console: Console) -> Scored:
        earlier, found = self._earlier, None
        if len(self._lacking):
            found = self._score(out / FOLDER, local, console)
        rows, left = earlier.scored(time.time(), found)
        if len(left):
            left.write(out)
        how = "taken" if earlier.same_reward else "computed anew"
        new = len(self._lacking)
        print_plainly(
            console,
            f"warm start: {len(rows):,} of {len(earlier):,} rewards are {how} from the raw values "
            f"of {earlier.where}: no new call of {', '.join(earlier.known)}"
            + (f"; {', '.join(earlier.missing)} called for {new:,}" if new else ""),
        )
        if len(left):
            print_plainly(
                console,
                f"{len(left):,} sequences of {earlier.where} lack a value that this reward needs; "
                "if one is proposed again, only what it lacks is called",
            )
        if not len(rows) and self._needed:
            raise ConfigError(f"the run can't use any score of {earlier.where}")
        return rows

    def _score(self, folder: Location, local: bool, console: Console) -> LackingValues:
        """Call the new components, or read what an interrupted start has scored."""
        run, earlier = self._run, self._earlier
        reward = only(run.reward, earlier.missing, run.domain.name)
        file, result = folder / SEQUENCES, folder / RESULT
        outputs = Outputs.of(result)
        if not outputs.parquet.exists() or outputs.fragments.is_dir():
            if not file.exists():
                folder.make()
                file.write(_csv(earlier.sequences(self._lacking)))
            names = ", ".join(earlier.missing)
            print_plainly(console, f"calling {names} for {len(self._lacking):,} known sequences")
            resume = (outputs.record / "config.toml").is_file()
            part = run.model_copy(update={"reward": reward})
            done = score_file(part, file, result, "sequence", resume, console, local=local)
            if not done.finished:
                raise StoppedError(
                    "stopped on request; go on with --resume and the same --warm-start"
                )
        with outputs.parquet.open() as source:
            table = pq.read_table(source)
        # by the text, since an interrupted start may have chosen from a record that was shorter
        sequences = table.column("sequence").to_pylist()
        steps = _steps_on_record(outputs.record, sequences)
        return LackingValues(scores_of_table(table), earlier.rows_of(sequences), steps)


def _steps_on_record(record: Location, sequences: list[str]) -> dict[str, np.ndarray]:
    """Values by the step of N sequences on a record that `score` has made, float32 [N,T] by
    component, NaN where there is none. The result itself has sums alone. Raises RecordError."""
    found = recorded_values(PartStore(record), config_of(record).reward.identity())
    if not found.steps:
        return {}
    row_of = {text: row for row, text in enumerate(found.sequences)}
    at = np.array([row_of.get(text, -1) for text in sequences], np.int64)
    there = (at >= 0)[:, None]
    return {
        name: np.where(there, values[at], np.float32(np.nan))
        for name, values in found.steps.items()
    }


def _csv(sequences: list[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["sequence"])
    writer.writerows([one] for one in sequences)
    return text.getvalue()
