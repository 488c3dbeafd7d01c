"""Scores lines of a file and writes one fragment of the results; imports no Ray."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from sequence_tutor.distributed.bulk.results import GIVEN_UP, LineResults, write_fragment
from sequence_tutor.distributed.scoring.scorer import Scorer, Work
from sequence_tutor.rewards.base import Outcome, Status, scores_of


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
    results = LineResults(
        sequences=lines,
        keys=[k if v else "" for k, v in zip(work.keys, work.valid, strict=True)],
        scores=scores_of([work.outcomes[key] for key in work.keys]),
    )
    return _written(first, results, directory, work.seconds)


def give_up_lines(first: int, lines: list[str], directory: str) -> LinesReport:
    """Write lines as crashed, without reading them: scorers died while they scored them."""
    given_up = Outcome(math.nan, Status.CRASHED, 0.0, GIVEN_UP, {})
    results = LineResults(lines, [""] * len(lines), scores_of([given_up] * len(lines)))
    return _written(first, results, directory, 0.0)


@contextmanager
def released_on_error(scorer: Scorer, work: Work) -> Iterator[None]:
    """Release the scorer's claims on an error: it lives on and would hold them without scoring."""
    try:
        yield
    except BaseException:
        scorer.replay.release([work.keys[i] for i in work.mine])
        raise


def _written(first: int, results: LineResults, directory: str, seconds: float) -> LinesReport:
    write_fragment(directory, first, results)
    scores = results.scores
    return LinesReport(
        rows=len(results),
        counts=np.bincount(scores.status, minlength=len(Status)),
        seconds=seconds,
        error=next(filter(None, scores.errors), ""),
    )
