"""Counts of short runs of tokens, by which sequences of any kind can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np

PLACES = 2_048
LONGEST = 3
_BETWEEN = "\0"  # no token has it, so "ab" + "c" and "a" + "bc" differ


def ngram_counts(sequences: Sequence[Sequence[str]]) -> np.ndarray:
    """uint8 [B,2048]: how often each run of 1 to 3 tokens occurs in each of B sequences of tokens.

    The CRC-32 of a run gives its place, so every process finds the same; two runs may share a
    place. Counts above 255 are 255.
    """
    counts = np.zeros((len(sequences), PLACES), np.uint8)
    for row, tokens in zip(counts, sequences, strict=True):
        places = [
            crc32(_BETWEEN.join(tokens[start : start + n]).encode(errors="surrogatepass")) % PLACES
            for n in range(1, LONGEST + 1)
            for start in range(len(tokens) - n + 1)
        ]
        found = np.bincount(np.array(places, np.int64), minlength=PLACES)
        row[:] = np.minimum(found, 255)
    return counts
