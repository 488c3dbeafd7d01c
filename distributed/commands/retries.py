"""A run that goes on by itself after a failure: on a cluster, that is mostly a lost node."""

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

# Seconds before another try: as long as a lost node takes to be noticed, or replaced.
PAUSE_S = 30.0


def optimize_with_retries(
    run: RunConfig,
    out: Where,
    console: Console,
    options: Options | None = None,
    retries: int = 0,
    pause_s: float = PAUSE_S,
) -> RunSummary:
    """`optimize`, and up to `retries` times again from the last checkpoint where it failed.

    Not for what the user has to mend: that propagates at once, as does the last failure. A cluster
    that is too small counts as such only at first; later it may have lost a node for a while.
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
        # its sequences are on record by now, and failures since then are no news
        options = replace(options, resume=True, warm_start=None, retry_failed=False)
    return optimize(run, out, console, options)
