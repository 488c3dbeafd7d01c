"""The summary of a finished run: prior and policy compared, the best sequences, where files are."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.metrics.tally import Metrics
from sequence_tutor.distributed.report.best_shown import best_shown
from sequence_tutor.distributed.report.changes import CHANGES, print_changes
from sequence_tutor.distributed.report.evaluation import Columns, compare, print_table
from sequence_tutor.distributed.report.front import print_front
from sequence_tutor.distributed.run_directory.working_copy import WorkingCopy
from sequence_tutor.distributed.types import Scored
from sequence_tutor.policies.files.storage import Location, Where
from sequence_tutor.rewards.base import Domain, Status
from sequence_tutor.rewards.table_rows import TableRows

if TYPE_CHECKING:
    from sequence_tutor.policies.prior import Prior

# Rows of top.csv; sequences that are drawn; samples of each policy in the comparison.
TOP_ROWS = 100
RENDERED = 10
# The file with the Pareto front.
FRONT = "pareto.csv"
SUMMARY_SAMPLES = 1000


@dataclass(frozen=True)
class RunSummary:
    """How a run ended."""

    reason: str
    """Why it ended."""
    metrics: Metrics
    """Its last metrics."""
    columns: Columns
    """Numbers of data, random actions, prior and policy."""
    shown: list[str]
    """Sentences that name the files with drawn sequences."""
    rewards: Columns
    """Mean rewards of scored sequences."""
    front: Scored | None = None
    """The Pareto front, where the reward has one."""
    changes: Sequence[tuple[str, float, str, float, str]] = ()
    """What the best have changed of a lead, where the run has leads, see `changes_of`."""
    hidden: frozenset[str] = frozenset()
    """Numbers of `columns` that aren't printed: those that a paper alone counts."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What the names of rows leave open, in `columns` and `rewards`."""


def summarize(
    run: RunConfig,
    work: WorkingCopy,
    reason: str,
    metrics: Metrics,
    top: Scored | None,
    prior: Prior,
    policy: Prior,
    domain: Domain,
    rewards: Columns,
    front: Scored | None,
) -> RunSummary:
    """Draw the best and random sequences into the run's directory, and compare the policy with its
    prior in numbers that need no reward. rewards, front: from the record."""
    best = best_shown(top, prior, domain, metrics.temperature, RENDERED)
    shown = [
        "at random: " + domain.render(policy.sample(RENDERED, run.seed), work.path / "samples"),
        "the best: " + domain.render(best, work.path / "best"),
    ]
    shown = [work.shown(text) for text in shown]
    columns = compare(domain, prior, policy, n=SUMMARY_SAMPLES, seed=run.seed)
    notes = {**domain.row_notes, **TableRows.of(run.reward, domain.name).notes}
    return RunSummary(
        reason, metrics, columns, shown, rewards, front, hidden=domain.of_papers, notes=notes
    )


def print_summary(summary: RunSummary, where: Where, console: Console) -> None:
    """Print prior and tuned policy side by side, and where the files are."""
    m, out = summary.metrics, Location(where)
    title = f"up to {SUMMARY_SAMPLES:,} sequences each"
    print_table(summary.columns, console, title, summary.hidden, summary.notes)
    print_rewards(summary.rewards, console, summary.notes)
    if summary.front is not None:
        print_front(summary.front, str(out / FRONT), console)
    if summary.changes:
        print_changes(list(summary.changes), str(out / CHANGES), console)
    facts = [f"{m.scores_used} scores, {m.updates} updates, {m.elapsed_s:.0f} s"]
    if not math.isnan(m.reward_top10):
        facts.append(f"best ten {m.reward_top10:.3f} on average")
    if not math.isnan(m.kl_to_prior):
        facts.append(f"KL to the prior {m.kl_to_prior:.1f} nats")
    console.print(f"{summary.reason}: {'; '.join(facts)}")
    console.print(f"the best sequences are in {out / 'top.csv'}, the policy in {out / 'policy'}")
    for remark in summary.shown:
        console.print(remark, soft_wrap=True, highlight=False)


def print_rewards(rewards: Columns, console: Console, notes: Mapping[str, str]) -> None:
    """Print mean rewards of valid scored sequences, if there are any. notes: see `print_table`."""
    if rewards:
        print_table(rewards, console, "mean reward of valid sequences", notes=notes)


def write_top(top: Scored | None, where: Where) -> None:
    """Write the best distinct sequences, their reward and raw components, as CSV."""
    Location(where).write(top_csv(top))


def top_csv(top: Scored | None) -> str:
    """The text that `write_top` writes."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    names = list(top.raw) if top is not None else []
    columns = [f"raw.{name}" for name in names]
    rows.writerow(["key", "sequence", "reward", *columns, "version", "source"])
    for i in range(len(top) if top is not None else 0):
        assert top is not None and top.status[i] == Status.OK
        values = [f"{top.raw[name][i]:.6g}" for name in names]
        rows.writerow(
            [
                top.keys[i],
                top.sequences[i],
                f"{top.rewards[i]:.6g}",
                *values,
                int(top.versions[i]),
                top.sources[i],
            ]
        )
    return text.getvalue()
