"""Mean rewards of a run: of rows on record and, where the user asks for it, of new samples."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from rich.console import Console

from sequence_tutor.distributed.config import RunConfig
from sequence_tutor.distributed.replay.record.store import RecordError, record_of
from sequence_tutor.distributed.report.evaluation import Columns
from sequence_tutor.distributed.report.recorded import read_rewards
from sequence_tutor.distributed.run_directory.resume import config_of
from sequence_tutor.distributed.scoring.attachments import attachments_of
from sequence_tutor.distributed.scoring.earlier_values import earlier_values
from sequence_tutor.distributed.stop_signal import StopRequest
from sequence_tutor.policies.files.storage import Location
from sequence_tutor.rewards.base import Reward
from sequence_tutor.rewards.isolation.reward import IsolatedReward
from sequence_tutor.rewards.table_rows import TableRows

if TYPE_CHECKING:
    from sequence_tutor.policies.prior import Prior


def reward_table(
    run: RunConfig,
    out: Location,
    prior: Prior,
    policy: Prior,
    reward: Reward | None,
    samples: int,
    seed: int,
    console: Console,
    stop: StopRequest,
) -> Columns:
    """Mean rewards of the rows on record and, with `samples`, of that number of sequences of the
    prior and the policy. `reward` scores those that aren't on record. No other process may write to
    the run. Raises ValueError where the record is needed and can't be read."""
    record, reward_id = record_of(run.replay, out), run.reward.identity()
    try:
        shown = TableRows.of(run.reward, run.domain.name)
        recorded = read_rewards(record, reward_id, shown)
        if not samples or reward is None:
            return recorded.columns
        from sequence_tutor.distributed.report.report_samples import ReportSamples, score_samples

        reported = score_samples(
            ReportSamples.of(prior, policy, samples, seed),
            record,
            attachments_of(run.replay, out, reward_id),
            earlier_values(out),
            reward,
            reward_id,
            run.domain,
            recorded.seconds_per_score,
            console,
            lambda: stop.wanted,
            shown,
        )
        return {**reported, **recorded.columns}
    except RecordError as error:
        if samples:
            raise ValueError(f"the report's samples weren't scored: {error}") from error
        console.print(f"no mean rewards: {error}", markup=False, soft_wrap=True)
        return {}


def evaluated_rewards(
    out: Location, prior: Prior, policy: Prior, samples: int, seed: int, console: Console
) -> Columns:
    """`reward_table` of a finished run; makes its reward only where there are `samples`. Raises
    ConfigError or ValueError."""
    run = config_of(out)
    with ExitStack() as stack:
        stop = stack.enter_context(StopRequest())
        reward = None
        if samples:
            domain = run.domain.name
            reward = stack.enter_context(IsolatedReward(run.reward, domain, [os.getcwd()]))
        return reward_table(run, out, prior, policy, reward, samples, seed, console, stop)
