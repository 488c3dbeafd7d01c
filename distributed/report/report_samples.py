"""Scores samples of prior and policy for a report, beyond the budget, where the user asks for it.

Scores that are on record are read from there. The others are made in this process and put on record
with the source "report", so that no later run pays for them. No other process may write to the
record meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from sequence_tutor.distributed.bulk.estimate import duration
from sequence_tutor.distributed.replay.messages import REPORT
from sequence_tutor.distributed.replay.record.alone import RecordAlone
from sequence_tutor.distributed.report.evaluation import Columns
from sequence_tutor.distributed.run_directory.storage_retry import retry_storage
from sequence_tutor.distributed.scoring.attachments import AttachmentStore
from sequence_tutor.distributed.scoring.earlier_values import EarlierValues
from sequence_tutor.distributed.scoring.scorer import Scorer, Work
from sequence_tutor.distributed.types import Generated
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.policies.prior import Prior
from sequence_tutor.rewards.base import Domain, Outcome, Reward, Status
from sequence_tutor.rewards.isolation.identify import identifier
from sequence_tutor.rewards.table_rows import RAW_MEANS, TableRows

# A Ctrl-C takes effect between two batches: seconds that a batch takes, and its most sequences.
BATCH_S, LARGEST_BATCH = 2.0, 256
# Column of the prior's samples.
PRIOR = "prior"


@dataclass(frozen=True)
class ReportSamples:
    """The samples to be scored."""

    policies: Mapping[str, Prior]
    """The policies by the name of their column."""
    n: int
    """Sequences of each."""
    seed: int
    """Seed of the draws."""
    updates: int
    """Updates that the tuned policy has seen."""

    @classmethod
    def of(cls, prior: Prior, policy: Prior, n: int, seed: int) -> ReportSamples:
        """Samples of a run's prior and of its tuned policy."""
        policies = {PRIOR: prior, "tuned policy": policy}
        return cls(policies, n, seed, int(policy.card.get("updates", 0)))

    def drawn(self, name: str) -> list[Generated]:
        """The sequences of one policy, in batches."""
        policy, version = self.policies[name], 0 if name == PRIOR else self.updates
        return [
            Generated.by_one(e, version, "", REPORT, 0.0)
            for e in policy.episodes(self.n, self.seed)
        ]


def score_samples(
    samples: ReportSamples,
    record: Location,
    files: AttachmentStore,
    earlier: EarlierValues | None,
    reward: Reward,
    reward_id: str,
    domain: Domain,
    seconds_per_score: float,
    console: Console,
    stopped: Callable[[], bool],
    shown: TableRows = RAW_MEANS,
) -> Columns:
    """Print the cost, score the samples, and return the mean reward and components of the valid
    sequences of each.

    files: where components' files are stored; earlier: raw values that aren't called for;
    seconds_per_score: mean seconds of a score so far, NaN where that isn't known. Once `stopped`
    returns True, only the batch under way is finished; its scores are on record, and the means of
    each sample are over its sequences before the first one without a score; shown: how components
    are. Raises RecordError
    where the record can't be read, OSError where it can't be written.
    """
    known = RecordAlone(record, reward_id)
    works = {
        name: [
            Scorer(identifier(domain, reward), reward, known, policy.encoding).prepare(batch)
            for batch in samples.drawn(name)
        ]
        for name, policy in samples.policies.items()
    }
    everything = [work for several in works.values() for work in several]
    distinct = {work.keys[i] for work in everything for i in work.open if work.valid[i]}
    known.look_up(key for work in everything for key in work.keys)
    unknown = sum(key not in known for key in distinct)
    total = sum(len(work.keys) for work in everything)
    console.print(
        f"{samples.n:,} samples each of {' and '.join(works)} for the report: of these {total:,} "
        f"{unknown:,} distinct valid ones aren't known yet and are scored beyond the budget"
        f"{_cost(unknown, seconds_per_score)}; Ctrl-C stops it and keeps what was scored",
        soft_wrap=True,
        highlight=False,
    )
    size = LARGEST_BATCH
    if seconds_per_score > 0:
        size = max(1, min(size, int(BATCH_S / seconds_per_score)))
    try:
        for name, policy in samples.policies.items():
            scorer = Scorer(
                identifier(domain, reward), reward, known, policy.encoding, files, earlier=earlier
            )
            for work in works[name]:
                _finish(scorer, work, size, stopped)
    finally:
        retry_storage(known.flush, f"write to {record}", console)
    if stopped():
        console.print("stopped on request: the report's samples weren't all scored")
    return dict(_column(name, several, shown) for name, several in works.items())


def _cost(unknown: int, seconds_per_score: float) -> str:
    if not unknown or math.isnan(seconds_per_score):
        return ""
    return f", which takes about {duration(unknown * seconds_per_score)}"


def _finish(scorer: Scorer, work: Work, size: int, stopped: Callable[[], bool]) -> None:
    """Score the open rows, at most `size` at a time."""
    rows = work.open
    while rows and not stopped():
        work.open, work.allowance = rows, size
        work.refused.clear()
        scorer.claim(work)
        scorer.store(work, scorer.score(work))
        rows = [i for i in rows if work.keys[i] in work.refused]


def _column(name: str, works: list[Work], shown: TableRows) -> tuple[str, dict[str, float]]:
    """A title with the number of sequences, and the means over the valid ones."""
    found: list[Outcome] = []
    for work in works:
        outcomes = [work.outcomes.get(key) for key in work.keys]
        judged = outcomes.index(None) if None in outcomes else len(outcomes)
        found += [outcome for outcome in outcomes[:judged] if outcome is not None]
        if judged < len(outcomes):
            break
    valid = [outcome for outcome in found if outcome.status == Status.OK]
    components = list(dict.fromkeys(key for outcome in valid for key in outcome.raw))
    raw = {key: np.array([o.raw.get(key, math.nan) for o in valid]) for key in components}
    means = shown.means(np.array([outcome.reward for outcome in valid]), raw)
    return f"{name} ({len(found):,} samples)", means
