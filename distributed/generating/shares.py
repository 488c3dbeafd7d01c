"""How many sequences each proposer proposes at a time."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.population import is_policy
from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.types import POLICY

# Best rows whose proposers count, the part of its batch that a proposer keeps however little it
# yields, and the rows that each counts as having among the best before there are any.
TOP, LEAST, GIVEN = 100, 0.25, 10


class BatchSizes(NamedTuple):
    """Sequences that each process proposes at a time."""

    policy: int | None
    """Of an actor; None where it decides itself."""
    others: dict[str, int]
    """By the name of another proposer."""


def batch_sizes(run: RunConfig, replay: ReplayClient) -> BatchSizes:
    """The sizes for now. With `proposers.adaptive` the sum of a round stays as configured, and the
    part beyond LEAST follows each one's rows among the record's best."""
    others = run.proposers.all
    batches = {name: one.batch for name, one in others.items()}
    if not run.proposers.adaptive:
        return BatchSizes(None, batches)
    processes = {name: one.processes for name, one in others.items()}
    if run.actors.count:
        batches[POLICY], processes[POLICY] = run.actors.batch, run.actors.count
    best = replay.view(TOP, 0).sources
    sources = Counter(POLICY if is_policy(source) else source for source in best)
    found = {name: sources[name] + GIVEN for name in batches}
    shared = sum((1 - LEAST) * batches[name] * processes[name] for name in batches)
    whole = sum(found.values())
    sizes = {
        name: max(1, round(LEAST * batch + shared * found[name] / whole / processes[name]))
        for name, batch in batches.items()
    }
    return BatchSizes(sizes.pop(POLICY, None), sizes)
