"""Which sequences of a run a person is asked to rate."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from sequence_tutor.distributed.report.best_shown import TOO_SIMILAR
from sequence_tutor.distributed.run_directory.record_rows import RecordRows
from sequence_tutor.distributed.screening.tanimoto import Indicators
from sequence_tutor.rewards.base import Domain

# The best are chosen among this number of rows with the highest rewards.
SHORTLIST = 100
# Texts -> what is added to their rewards, float64 [B].
Worth = Callable[[Sequence[str]], np.ndarray]


def rated_next(
    rows: RecordRows, rated: Collection[str], domain: Domain, more: Worth, n: int, seed: int
) -> list[str]:
    """At most n keys of valid rows that aren't in `rated`, in a random order.

    Half of them, rounded up, are the best by reward and `more`, of which none is too similar to
    another or to one in `rated`, as far as there are such. The others are spread over the record:
    of the rest in the order of the rewards, cut into equal parts, one at random from each.
    """
    known, random = set(rated), np.random.default_rng(seed)
    open_ = [row for row in rows.valid.tolist() if rows.keys[row] not in known]
    open_ = [row for row in open_ if np.isfinite(rows.rewards[row])]
    order = sorted(open_, key=lambda row: (-rows.rewards[row], rows.keys[row]))
    best = _best(rows, order[:SHORTLIST], sorted(known), domain, more, -(-n // 2))
    others = [row for row in order if row not in best]
    spread = [
        int(random.choice(part))
        for part in np.array_split(np.array(others, np.int64), max(1, n - len(best)))
        if len(part)
    ]
    chosen = np.array([*best, *spread], np.int64)[: max(n, 0)]
    return [rows.keys[row] for row in random.permutation(chosen).tolist()]


def _best(
    rows: RecordRows, found: list[int], rated: list[str], domain: Domain, more: Worth, n: int
) -> list[int]:
    if not found:
        return []
    texts = [rows.keys[row] for row in found]
    worth = rows.rewards[found] + more(texts)
    rated = [text for text in rated if domain.key(text) is not None]
    counts = domain.features([*texts, *rated])[0]
    alike = Indicators(counts).kernel(counts)[: len(texts)] > TOO_SIMILAR
    seen = list(range(len(texts), len(counts)))
    chosen: list[int] = []
    others: list[int] = []
    for place in np.argsort(-worth, kind="stable").tolist():
        if alike[place, seen].any():
            others.append(place)
        else:
            chosen.append(place)
            seen.append(place)
    return [found[place] for place in (chosen + others)[:n]]
