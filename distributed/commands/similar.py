"""The rows of a record that are most like a sequence."""

from __future__ import annotations

from difflib import get_close_matches

import numpy as np

from sequence_tutor.distributed.run_directory.record_rows import RecordRows
from sequence_tutor.distributed.screening.tanimoto import Indicators
from sequence_tutor.rewards.base import Domain

# Valid rows that are compared at most, the best ones: a molecule takes one to three milliseconds.
COMPARED = 5_000
# Rows whose features are in memory at a time, 2 KB for each block of features.
CHUNK = 2048


def similar(
    rows: RecordRows, domain: Domain, key: str, most: int = 5
) -> tuple[list[tuple[int, float]], int]:
    """The up to `most` valid rows most similar to a valid sequence, itself left out, the most
    similar first, each with its similarity; and how many were compared. The similarity is the
    Tanimoto coefficient of the counts in the first block of `Domain.features`."""
    valid = rows.valid
    valid = valid[np.argsort(-rows.rewards[valid], kind="stable")]
    compared = np.array([i for i in valid.tolist() if rows.keys[i] != key], np.int64)[:COMPARED]
    with domain.quiet():
        indicators = Indicators(domain.features([key])[0])
        parts = [np.empty(0, np.float32)]
        for first in range(0, len(compared), CHUNK):
            chunk = [rows.keys[i] for i in compared[first : first + CHUNK].tolist()]
            parts.append(indicators.kernel(domain.features(chunk)[0])[:, 0])
    found = np.concatenate(parts)
    order = np.argsort(-found, kind="stable")[:most]
    pairs = zip(compared[order].tolist(), found[order].tolist(), strict=True)
    return list(pairs), len(compared)


def like_text(rows: RecordRows, text: str, most: int = 3) -> list[str]:
    """The sequences on record that are spelled most like a text; of the first COMPARED rows."""
    return get_close_matches(text, rows.sequences[:COMPARED], most, cutoff=0.3)
