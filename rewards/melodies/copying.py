"""Metrics of copying: repeated melodies within a sample, and runs taken from training melodies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sequence_tutor.rewards.melodies.melody import TOKENS
from sequence_tutor.rewards.melodies.notes import share


def distinct_share(tokens: np.ndarray) -> float:
    """Different rows / rows of int [B,T]; NaN where B = 0."""
    return share(len(_rows(tokens)), len(tokens))


def copying_metrics(tokens: np.ndarray, training: Sequence[np.ndarray]) -> dict[str, float]:
    """int [B,T] against training melodies, int [M] of any lengths; NaN where B = 0.

    novel: different rows that aren't a whole training melody / different rows
    mean_longest_copied, max_longest_copied: over melodies, steps; see `longest_copied`
    copied_whole: melodies that occur entirely, anywhere in a training melody / melodies
    """
    rows = _rows(tokens)
    longest = longest_copied(tokens, training)
    return {
        "novel": share(len(rows - _rows(training)), len(rows)),
        "mean_longest_copied": share(longest.sum(), len(longest)),
        "max_longest_copied": float(longest.max()) if len(longest) else float("nan"),
        "copied_whole": share((longest == tokens.shape[1]).sum(), len(longest)),
    }


def longest_copied(tokens: np.ndarray, training: Sequence[np.ndarray]) -> np.ndarray:
    """Longest run of consecutive tokens of each melody that some training melody has too.

    int [B,T] and int [M] of any lengths -> int64 [B], steps. Runs grow by one token per pass. Equal
    runs have one number: two runs of k tokens are equal if the numbers of their first k-1 tokens
    and their last tokens are equal. Unlike hashes, different runs never share a number. Runs that
    don't occur on the other side are dropped before the next pass.
    """
    melodies, steps = tokens.shape
    longest = np.zeros(melodies, dtype=np.int64)
    ours = _Runs([tokens.reshape(-1)], np.tile(np.arange(steps, 0, -1), melodies))
    lengths = [np.zeros(0, dtype=np.int64), *(np.arange(len(m), 0, -1) for m in training)]
    theirs = _Runs(training, np.concatenate(lengths))
    for k in range(1, steps + 1):
        known, numbers = np.unique(theirs.extended(k), return_inverse=True)
        extended = ours.extended(k)
        place = np.searchsorted(known, extended)
        found = np.take(known, place, mode="clip") == extended if len(known) else place < 0
        ours.keep(found, place)
        if not len(ours.start):
            break
        longest[ours.start // steps] = k
        shared = np.zeros(len(known), dtype=bool)
        shared[ours.number] = True
        theirs.keep(shared[numbers], numbers)
    return longest


class _Runs:
    """Runs of k tokens in concatenated melodies: where each starts, and its number.

    `left` counts the tokens from each token to the end of its melody.
    """

    def __init__(self, melodies: Sequence[np.ndarray], left: np.ndarray) -> None:
        self._tokens = np.concatenate([np.zeros(0, np.int64), *melodies]).astype(np.int64)
        self._left = left
        self.start = np.arange(len(left))
        self.number = np.zeros(len(left), dtype=np.int64)

    def extended(self, k: int) -> np.ndarray:
        """int64 numbers of the runs with one token more, equal for equal runs; drops runs that
        reach their melody's end."""
        self.keep(self._left[self.start] >= k, self.number)
        return self.number * TOKENS + self._tokens[self.start + k - 1]

    def keep(self, mask: np.ndarray, number: np.ndarray) -> None:
        """Keep the runs of the mask, with new numbers."""
        self.start, self.number = self.start[mask], number[mask]


def _rows(melodies: Sequence[np.ndarray] | np.ndarray) -> set[bytes]:
    return {np.asarray(m, dtype=np.uint8).tobytes() for m in melodies}
