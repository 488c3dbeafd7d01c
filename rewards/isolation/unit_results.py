"""The outcome of a unit of work: its results are entered, or it is tried again, or it has failed.

Each function returns the units to requeue at the front.
"""

from __future__ import annotations

import time

from sequence_tutor.rewards.base import Status
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.isolation.work import NO_PROCESS, Unit, UnitResult
from sequence_tutor.rewards.isolation.worker import Worker

# A unit is given up after this number of processes that had received it ended for other reasons.
MAX_LOSSES = 3
_FAILED = int(Status.FAILED)


def enter(unit: Unit, done: UnitResult) -> list[Unit]:
    """Enter the results of a unit in its job. Raises an exception where they don't fit it."""
    job, rows = unit.job, unit.rows
    job.enter(rows, done)
    job.spend(rows, done.seconds)
    again: list[Unit] = []
    for row in rows:
        job.attempts[row] += 1
        if job.status[row] == _FAILED and job.attempts[row] <= job.retries:
            again.append(Unit(job, [row]))
    job.close(len(rows) - len(again))
    return again


def worker_ended(worker: Worker, how: str, config: RewardConfig) -> list[Unit]:
    """Settle the units of a child that has ended, `how` in words: its current one, and those that
    it had received and not begun."""
    again: list[Unit] = []
    last = worker.words.last_line()
    how = f"{how}: {last}" if last else how
    if worker.unit is not None:
        worker.unit.job.spend(worker.unit.rows, time.monotonic() - worker.since)
        if worker.not_its_fault:
            again += _requeue_or_give_up(worker.unit, how)
        else:
            again += _split_or_fail(worker.unit, worker, how, config)
    for unit in worker.sent.values():
        again += _requeue_or_give_up(unit, how)
    return again


def give_up(unit: Unit, how: str) -> None:
    """Let a unit fail, since no process stays alive that could score it."""
    for row in unit.rows:
        unit.job.condemn(row, Status.CRASHED, f"{NO_PROCESS}: {how}")
    unit.job.close(len(unit.rows))


def _requeue_or_give_up(unit: Unit, how: str) -> list[Unit]:
    """Requeue a unit whose process ended before it could be scored; give up after MAX_LOSSES."""
    unit.losses += 1
    if unit.losses < MAX_LOSSES:
        return [unit]
    give_up(unit, how)
    return []


def _split_or_fail(unit: Unit, worker: Worker, how: str, config: RewardConfig) -> list[Unit]:
    """Settle a unit that ended its process: split it to find the sequence, or fail its only one."""
    status, error = worker.verdict or (Status.CRASHED, how)
    if worker.ending is not None and worker.ending.out_of_memory:
        if worker.begun > 1 and not worker.ending.guilty:
            # earlier units may have leaked the memory that it needed
            unit.fresh = True
            return [unit]
        error = f"needed more than memory_mb = {config.memory_mb}"
    elif worker.ending is not None:
        last = worker.words.last_line()
        error = f"{worker.ending.error}: {last}" if last else worker.ending.error
    if len(unit.rows) > 1:
        return unit.halves()
    [row] = unit.rows
    job = unit.job
    job.attempts[row] += 1
    job.condemn(row, status, error)
    if job.attempts[row] <= job.retries:
        return [Unit(job, [row])]
    job.close(1)
    return []
