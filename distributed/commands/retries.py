"""Repeats a run after a failure, which on a cluster is mostly a lost node."""

from __future__ import annotations

import time
from dataclasses import replace

from rich.console import Console

from sequence_tutor.distributed.commands.optimize import Options, optimize
from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.report.summary import RunSummary
from sequence_tutor.distributed.stop_signal import (
    BrokenRewardError,
    ResourceError,
    RunError,
    StoppedError,
)
from sequence_tutor.policies.files.storage import Where

# Seconds before another attempt: a cluster needs them to notice a lost node or to replace it.
PAUSE_S = 30.0


def optimize_with_retries(
    run: RunConfig,
    out: Where,
    console: Console,
    options: Options | None = None,
    retries: int = 0,
    pause_s: float = PAUSE_S,
) -> RunSummary:
    """`optimize`, and after a failure up to `retries` times again from the last checkpoint.

    A mistake of the user raises at once, and so does the last failure. A cluster that is too small
    raises at once only in the first attempt; later it may lack a node for a while.
    """
    options = options or Options()
    for failures in range(retries):
        try:
            return optimize(run, out, console, options)
        except (RunError, ResourceError) as error:
            too_small = isinstance(error, ResourceError) and not failures
            if too_small or isinstance(error, (BrokenRewardError, StoppedError)):
                raise
            console.print(
                f"failed: {error}; going on in {pause_s:g} s (retry {failures + 1} of {retries})",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
        time.sleep(pause_s)
        # failed sequences have been tried again; rows of the warm start may not be on record yet
        options = replace(options, resume=True, retry_failed=False)
    return optimize(run, out, console, options)
