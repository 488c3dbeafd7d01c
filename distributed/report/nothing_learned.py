"""Says why a finished run has learned nothing."""

from __future__ import annotations

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.metrics.tally import Tally


def why_nothing_was_learned(run: RunConfig, tally: Tally, trainable_rows: int) -> str:
    """A sentence for a run that ended with no update, "" for one that made some.

    trainable_rows: rows of the replay that have a reward and at least one action.
    """
    if tally.updates:
        return ""
    replay, stop = run.replay, run.stop
    rows = run.learner.batch * run.learner.count
    earned = replay.ratio * (tally.inserted - replay.min_rows)
    if stop.seconds is not None and tally.elapsed_s >= stop.seconds:
        why = f"stop.seconds = {stop.seconds:g} ended the run before the first update"
    elif run.actors.count and tally.inserted < replay.min_rows:
        why = (
            f"{tally.inserted} rows, replay.min_rows = {replay.min_rows}; "
            "raise stop.scores or lower replay.min_rows"
        )
    elif not trainable_rows:
        why = f"none of {tally.inserted} rows has a reward to learn from"
    elif run.actors.count and run.mode == "asynchronous" and earned < rows:
        why = (
            f"{tally.inserted} rows earn {max(0, earned):.0f} samples with replay.ratio = "
            f"{replay.ratio:g} and replay.min_rows = {replay.min_rows}, and an update takes {rows}"
        )
    else:
        why = "the run ended before the first update"
    return f"the policy is the prior: {why}"
