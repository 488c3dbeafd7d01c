"""How many sequences each proposer proposes at a time."""

from __future__ import annotations

from collections import Counter

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.replay.client import ReplayClient
from sequence_tutor.distributed.types import POLICY

# Best rows whose proposers count, the part of its batch that a proposer keeps whatever it yields,
# and the rows that each proposer counts as having among the best before there are any.
TOP, LEAST, GIVEN = 100, 0.25, 10


def batch_sizes(run: RunConfig, replay: ReplayClient) -> dict[str, int | None]:
    """Sequences that a process of each proposer proposes now, the policy's actors included; None
    where an actor decides itself. With `proposers.adaptive` the sum of a round stays as configured,
    and the part beyond LEAST follows each one's rows among the record's best."""
    others = run.proposers.all
    sizes: dict[str, int | None] = {name: one.batch for name, one in others.items()}
    if not run.proposers.adaptive:
        return sizes | {POLICY: None}
    batches = {name: one.batch for name, one in others.items()}
    processes = {name: one.processes for name, one in others.items()}
    if run.actors.count:
        batches[POLICY], processes[POLICY] = run.actors.batch, run.actors.count
    sources = Counter(replay.view(TOP, 0).sources)
    found = {name: sources[name] + GIVEN for name in batches}
    shared = sum((1 - LEAST) * batches[name] * processes[name] for name in batches)
    whole = sum(found.values())
    return {POLICY: None} | {
        name: max(1, round(LEAST * batch + shared * found[name] / whole / processes[name]))
        for name, batch in batches.items()
    }
