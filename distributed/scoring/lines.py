"""Scores lines of a file and writes one fragment of the results; imports no Ray."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from sequence_tutor.distributed.bulk.results import GIVEN_UP, Judged, write_fragment
from sequence_tutor.distributed.scoring.scorer import Scorer, Work
from sequence_tutor.rewards.base import Status


@dataclass(frozen=True)
class LinesReport:
    """What the driver sees of scored lines."""

    rows: int
    """How many lines."""
    counts: np.ndarray
    """int64 [len(Status)] lines by the number of their status."""
    seconds: float
    """Seconds spent scoring."""
    error: str
    """The first error, empty where there was none."""


def score_lines(
    scorer: Scorer, scorer_id: str, first: int, lines: list[str], directory: str
) -> LinesReport:
    """Score lines, the first of which is line `first`, and write the results into `directory`."""
    work = scorer.prepare_texts(lines, scorer_id, "file")
    with released_on_error(scorer, work):
        scorer.claim(work)
        scorer.store(work, scorer.score(work))
    found = [work.outcomes[key] for key in work.keys]
    names = dict.fromkeys(name for o in found for name in o.raw)
    judged = Judged(
        sequences=lines,
        keys=[k if v else "" for k, v in zip(work.keys, work.valid, strict=True)],
        rewards=np.array([o.reward for o in found], dtype=np.float64),
        status=np.array([o.status for o in found], dtype=np.int8),
        errors=[o.error for o in found],
        seconds=np.array([o.seconds for o in found], dtype=np.float32),
        raw={n: np.array([o.raw.get(n, np.nan) for o in found]) for n in names},
    )
    return _written(first, judged, directory, work.seconds)


def give_up_lines(first: int, lines: list[str], directory: str) -> LinesReport:
    """Write lines as crashed, without reading them: scorers died while they scored them."""
    n = len(lines)
    judged = Judged(
        sequences=lines,
        keys=[""] * n,
        rewards=np.full(n, np.nan),
        status=np.full(n, Status.CRASHED, dtype=np.int8),
        errors=[GIVEN_UP] * n,
        seconds=np.zeros(n, dtype=np.float32),
        raw={},
    )
    return _written(first, judged, directory, 0.0)


@contextmanager
def released_on_error(scorer: Scorer, work: Work) -> Iterator[None]:
    """Release the scorer's claims on an error: it lives on and would hold them without scoring."""
    try:
        yield
    except BaseException:
        scorer.replay.release([work.keys[i] for i in work.mine])
        raise


def _written(first: int, judged: Judged, directory: str, seconds: float) -> LinesReport:
    write_fragment(directory, first, judged)
    return LinesReport(
        rows=len(judged.sequences),
        counts=np.bincount(judged.status, minlength=len(Status)),
        seconds=seconds,
        error=next(filter(None, judged.errors), ""),
    )
