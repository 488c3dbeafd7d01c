"""Count-Tanimoto kernels, as matrix products.

For counts a and b the kernel is sum(min(a, b)) / sum(max(a, b)), a positive definite kernel
(Ralaivola et al. 2005, "Graph kernels for chemical informatics"). min(a, b) is the number of
thresholds t = 1, 2, ... that both reach, so the sum of minima is a product of indicator matrices;
and max(a, b) = a + b - min(a, b).
"""

from __future__ import annotations

import numpy as np


class Indicators:
    """The places and thresholds that N sequences reach, with which others are compared.

    counts: uint8 [N,F]. Counts of others above the highest one here make no difference to a
    minimum, and places that are empty here add nothing to it, so the kernel is exact.
    """

    def __init__(self, counts: np.ndarray) -> None:
        highest = counts.max(0, initial=0).astype(np.int64)
        self._places = np.repeat(np.arange(len(highest)), highest)
        first = np.repeat(np.cumsum(highest) - highest, highest)
        self._thresholds = (np.arange(len(self._places)) - first + 1).astype(np.uint8)
        self._reached = self._unfold(counts)
        self._sums = counts.sum(1, dtype=np.float32)

    def kernel(self, counts: np.ndarray) -> np.ndarray:
        """Kernel of others, uint8 [M,F], with these: float32 [M,N]. Empty counts are alike."""
        smaller = self._unfold(counts) @ self._reached.T
        larger = counts.sum(1, dtype=np.float32)[:, None] + self._sums[None] - smaller
        kernel: np.ndarray = np.where(larger > 0, smaller / np.maximum(larger, 1), np.float32(1))
        return kernel

    def _unfold(self, counts: np.ndarray) -> np.ndarray:
        reached: np.ndarray = counts[:, self._places] >= self._thresholds
        return reached.astype(np.float32)


class Comparison:
    """The kernels of rows that change little from one round to the next.

    Of the rows that were there before, the kernel is kept; only new rows are compared with all.
    """

    def __init__(self) -> None:
        self._keys: list[str] = []
        self._kernels: list[np.ndarray] = []
        self._blocks: list[np.ndarray] = []
        self._indicators: dict[int, Indicators] = {}

    def across(self, number: int, counts: np.ndarray) -> np.ndarray:
        """Kernel of others, uint8 [M,F], with the N rows, by block `number`: float32 [M,N]."""
        if number not in self._indicators:
            self._indicators[number] = Indicators(self._blocks[number])
        return self._indicators[number].kernel(counts)

    def take(self, keys: list[str], blocks: list[np.ndarray]) -> list[np.ndarray]:
        """Kernels of N rows among themselves, one float32 [N,N] for each block of counts [N,F].

        keys: N different names; the same name has the same counts in every call.
        """
        place = {key: i for i, key in enumerate(self._keys)}
        before = np.array([place.get(key, -1) for key in keys], np.int64)
        old, new = np.flatnonzero(before >= 0), np.flatnonzero(before < 0)
        self._blocks, self._indicators = list(blocks), {}
        kernels = []
        for number, counts in enumerate(blocks):
            kernel = np.empty((len(keys), len(keys)), np.float32)
            if len(old):
                kernel[np.ix_(old, old)] = self._kernels[number][np.ix_(before[old], before[old])]
            kernel[:, new] = Indicators(counts[new]).kernel(counts)
            kernel[new] = kernel[:, new].T
            kernels.append(kernel)
        self._keys, self._kernels = list(keys), kernels
        return kernels
